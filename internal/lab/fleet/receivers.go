package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"netwatchd/internal/lab/parts"
)

// Victoria is a running VictoriaMetrics. It supports remote write 1.0 only, but accepts 2.0 with success.
type Victoria struct{ URL string }

// StartVictoria starts one that ends with the test. Dir is for its data; address is where it listens, as in
// 127.0.0.1:8428.
func StartVictoria(t testing.TB, dir, address string) *Victoria {
	t.Helper()
	v := &Victoria{URL: "http://" + address}
	server := &parts.Server{Path: parts.Program(t, "victoria-metrics", "victoria-metrics"), Args: []string{
		"-storageDataPath=" + dir,
		"-httpListenAddr=" + address,
		"-memory.allowedBytes=128MiB",
		"-search.latencyOffset=0s",
		"-search.disableCache",
		"-search.maxPointsPerTimeseries=100000", // what has arrived is seen
		"-dedup.minScrapeInterval=1ms",          // what was sent twice is one
	}}
	server.Start(t)
	t.Cleanup(server.Stop)
	server.Await(t, func() error {
		answer, err := http.Get(v.URL + "/health")
		if err == nil {
			answer.Body.Close()
		}
		return err
	})
	return v
}

// Ask is the answer to a query of which every series is one host's.
func (v *Victoria) Ask(query string) (map[string]float64, error) {
	answer, err := http.Get(v.URL + "/api/v1/query?" + url.Values{"query": {query}}.Encode())
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var said struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || said.Error != "" {
		return nil, fmt.Errorf("%s: %s %v", query, said.Error, err)
	}
	all := make(map[string]float64)
	for _, r := range said.Data.Result {
		text, _ := r.Value[1].(string)
		all[r.Metric["instance"]], err = strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
	}
	return all, nil
}

// TimesOf are the times, in milliseconds since 1970, of all that it has of a host's metric.
func (v *Victoria) TimesOf(t testing.TB, metric, instance string) map[int64]bool {
	t.Helper()
	answer, err := http.Get(
		v.URL + "/api/v1/export?" + url.Values{"match[]": {fmt.Sprintf("%s{instance=%q}", metric, instance)}}.Encode(),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	times := make(map[int64]bool)
	for lines := json.NewDecoder(answer.Body); lines.More(); {
		var line struct{ Timestamps []int64 }
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		for _, at := range line.Timestamps {
			times[at] = true
		}
	}
	return times
}
