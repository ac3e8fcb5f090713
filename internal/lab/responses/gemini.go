package responses

import (
	"fmt"
	"net/http"
	"strings"
)

// This file is the protocol of Gemini CLI: what gemini 0.61 needs for a turn.

// isGemini reports whether a request is for a turn of gemini.
func isGemini(path string) bool { return strings.HasSuffix(path, ":streamGenerateContent") }

func (s *Server) gemini(w http.ResponseWriter, r *http.Request) {
	behaviour, begun := s.begin(w, r, geminiRefusals)
	if !begun {
		return
	}
	finish := `"finishReason":"STOP",`
	text := "OK"
	switch behaviour {
	case Stall:
		s.hold(r)
		return
	case Abort:
		fmt.Fprint(w, "data: {")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case Garbage:
		fmt.Fprint(w, "data: {{{{\n\nnonsense\n\n")
		return
	case Cut:
		finish = ""
	case Other:
		text = "I cannot do that"
	case Empty:
		text = ""
	}
	fmt.Fprintf(w, `data: {"candidates":[{"content":{"role":"model","parts":[{"text":%q}]},%s"index":0}],`+
		`"usageMetadata":{"promptTokenCount":%d,"cachedContentTokenCount":%d,"candidatesTokenCount":%d,`+
		`"totalTokenCount":%d},"modelVersion":"gemini-mock"}`+"\n\n",
		text, finish, Usage.Input, Usage.CachedInput, Usage.Output, Usage.Input+Usage.Output)
}

// geminiRefusals are answers to turns without a stream.
var geminiRefusals = map[Behaviour]refusal{
	Unauthorized: {400, geminiError(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")},
	Challenge:    {403, challengePage},
	RateLimit:    {429, geminiError(429, "RESOURCE_EXHAUSTED", "Too many requests. Please try again later.")},
	ServerError:  {500, geminiError(500, "INTERNAL", "Internal server error")},
	Unavailable:  {503, geminiError(503, "UNAVAILABLE", "The service is currently unavailable.")},
	Page:         {200, "<!DOCTYPE html><html><head><title>Welcome to our wireless network</title></head></html>"},
}

func geminiError(code int, status, text string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q}}`, code, text, status)
}
