package web

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
)

// rejectOthers handles unknown paths and methods under /api: programs expect JSON there too.
func (s *Server) rejectOthers(mux *http.ServeMux) {
	for pattern := range s.routes() {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		allow := method
		if method == http.MethodGet {
			allow = "GET, HEAD"
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			writeError(w, r, http.StatusMethodNotAllowed, "method_not_allowed", r.Method+" is not supported here: use "+method)
		})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, http.StatusNotFound, "not_found", "no such path: "+r.URL.Path)
	})
}

//go:embed openapi.yaml
var openAPI []byte

// apiSpec serves the OpenAPI 3.1 description of the API.
func (s *Server) apiSpec(w http.ResponseWriter, r *http.Request) {
	if !(parameters{}).read(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/yaml") // RFC 9512
	_, _ = w.Write(openAPI)
}

// An apiError is the body of an error response. Codes are stable; messages are for people.
type apiError struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// writeError writes JSON under /api, plain text elsewhere.
func writeError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		http.Error(w, message, status)
		return
	}
	var f apiError
	f.Error.Code, f.Error.Message = code, message
	writeJSON(w, status, f)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
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
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", "the watcher does not respond: "+err.Error())
		return
	}
	writeJSON(w, http.StatusOK, status)
}
