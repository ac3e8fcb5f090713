package schema

import "testing"

// recorder counts the failures that Check reports.
type recorder struct {
	testing.TB
	failed int
}

func (r *recorder) Errorf(string, ...any) { r.failed++ }

// A field that the schema does not describe, a missing one and a wrong type are reported.
func TestCheck(t *testing.T) {
	for text, want := range map[string]int{
		`{"schema":"urn:netwatchd:schema:v1:doctor","version":"1","findings":[{"check":"clock","outcome":"well","says":"synchronized"}]}`:                        0,
		`{"schema":"urn:netwatchd:schema:v1:doctor","version":"1","findings":[{"check":"clock","outcome":"well","says":"synchronized","do":[{"lines":["a"]}]}]}`: 0,
		`{"schema":"urn:netwatchd:schema:v1:doctor","version":"1","findings":[],"more":1}`:                                                                       1,
		`{"schema":"urn:netwatchd:schema:v1:doctor","version":"1","findings":[{"check":"clock","outcome":"fine","says":"synchronized"}]}`:                        1,
		`{"schema":"urn:netwatchd:schema:v1:doctor","findings":[]}`:                                                                                              1,
		`{"version":"1","findings":[]}`:                                           1,
		`{"schema":"urn:netwatchd:schema:v1:status","version":"1","findings":[]}`: 1,
		`not JSON`: 1,
	} {
		r := &recorder{TB: t}
		if Check(r, "doctor", text); r.failed != want {
			t.Errorf("%d failures, want %d: %s", r.failed, want, text)
		}
	}
}
