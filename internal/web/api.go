package web

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
)

// refuseTheRest answers for paths and methods under /api that are not there, since a program expects JSON from those as well.
func (s *Server) refuseTheRest(mux *http.ServeMux) {
	for pattern := range s.routes() {
		path, ok := strings.CutPrefix(pattern, "GET ")
		if !ok || !strings.HasPrefix(path, "/api/") {
			continue
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, r, http.StatusMethodNotAllowed, "method_not_allowed", r.Method+" is not served here: use GET")
		})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusNotFound, "not_found", "there is nothing at "+r.URL.Path)
	})
}

//go:embed openapi.yaml
var document []byte

// apiDocument answers with the description of the API, as OpenAPI 3.1 has it.
func (s *Server) apiDocument(w http.ResponseWriter, r *http.Request) {
	if !(parameters{}).read(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/yaml") // RFC 9512
	_, _ = w.Write(document)
}

// A fault is how the API says no. Codes are stable; messages are for people.
type fault struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// refuse answers in JSON under /api, in plain text elsewhere.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		http.Error(w, message, status)
		return
	}
	var f fault
	f.Error.Code, f.Error.Message = code, message
	answer(w, status, f)
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func (s *Server) apiStatus(w http.ResponseWriter, r *http.Request) {
	if !(parameters{}).read(w, r) {
		return
	}
	status, err := s.status(r)
	if err != nil {
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", "the watcher does not answer: "+err.Error())
		return
	}
	answer(w, http.StatusOK, status)
}
