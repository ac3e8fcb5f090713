package responses

import (
	"fmt"
	"net/http"
	"strings"
)

// This file is the protocol of Claude Code, the Messages API: what claude 2.1 needs for a turn.

// isMessages reports whether a request is for a turn of claude.
func isMessages(path string) bool { return strings.HasSuffix(path, "/messages") }

// messages answers as the real endpoint is known to: any method but POST gets 405.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		reply(w, http.StatusMethodNotAllowed,
			`{"type":"error","error":{"type":"invalid_request_error","message":"Method Not Allowed"}}`)
		return
	}
	behaviour, begun := s.begin(w, r, messagesRefusals)
	if !begun {
		return
	}
	w.Header().Set("Request-Id", "req_mock")
	if behaviour == Garbage {
		fmt.Fprint(w, "data: {{{{\n\nevent: \x00\x01\n\nnonsense\n\n")
		return
	}
	event(w, "message_start", fmt.Sprintf(`{"message":{"id":"msg_1","type":"message","role":"assistant","model":"mock",`+
		`"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":%d,"cache_creation_input_tokens":0,`+
		`"cache_read_input_tokens":%d,"output_tokens":1}}}`, Usage.Input-Usage.CachedInput, Usage.CachedInput))
	switch behaviour {
	case Stall:
		s.hold(r)
		return
	case Abort:
		panic(http.ErrAbortHandler)
	case Cut:
		return
	case OK:
		sayMessage(w, "OK")
	case Other:
		sayMessage(w, "I cannot do that")
	}
	event(w, "message_delta", fmt.Sprintf(`{"delta":{"stop_reason":"end_turn","stop_sequence":null},`+
		`"usage":{"output_tokens":%d}}`, Usage.Output))
	event(w, "message_stop", `{"last":true}`)
}

// sayMessage streams one block of text.
func sayMessage(w http.ResponseWriter, text string) {
	event(w, "content_block_start", `{"index":0,"content_block":{"type":"text","text":""}}`)
	event(w, "content_block_delta", fmt.Sprintf(`{"index":0,"delta":{"type":"text_delta","text":%q}}`, text))
	event(w, "content_block_stop", `{"index":0}`)
}

// messagesRefusals are answers to turns without a stream.
var messagesRefusals = map[Behaviour]refusal{
	Unauthorized: {401, messagesError("authentication_error", "invalid x-api-key")},
	Challenge:    {403, challengePage},
	UsageLimit:   {400, messagesError("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")},
	RateLimit:    {429, messagesError("rate_limit_error", "This request would exceed your account's rate limit. Please try again later.")},
	ServerError:  {500, messagesError("api_error", "Internal server error")},
	BadGateway:   {502, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>"},
	Unavailable:  {503, messagesError("api_error", "The service is currently unavailable.")},
	Page:         {200, "<!DOCTYPE html><html><head><title>Welcome to our wireless network</title></head></html>"},
	ModelRefused: {404, messagesError("not_found_error", "model: claude-nope")},
	NotFound:     {404, messagesError("not_found_error", "Not Found")},
	Geo:          {403, messagesError("forbidden", "Request not allowed")},
	BadRequest:   {400, messagesError("invalid_request_error", "messages: at least one message is required")},
}

func messagesError(kind, text string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_mock"}`, kind, text)
}
