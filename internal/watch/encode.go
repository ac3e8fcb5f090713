package watch

import (
	"encoding/json"
)

// MarshalJSON writes an empty list as [], never as null: `jq '.services[].also[]'` stops at a null.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.Services = listed(s.Services)
	return json.Marshal(plain(s))
}

// MarshalJSON writes an empty list as [], never as null.
func (s ServiceStatus) MarshalJSON() ([]byte, error) {
	type plain ServiceStatus
	s.Also, s.Evidence = listed(s.Also), listed(s.Evidence)
	s.Blocked, s.Missing = listed(s.Blocked), listed(s.Missing)
	return json.Marshal(plain(s))
}

// MarshalJSON writes an empty list as [], never as null.
func (s Sandboxed) MarshalJSON() ([]byte, error) {
	type plain Sandboxed
	s.Signals = listed(s.Signals)
	return json.Marshal(plain(s))
}

func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
