package stub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// A Protocol is how an agent and its service talk.
type Protocol struct {
	key    func(http.Header) string              // the key of a request
	isTurn func(path string) bool                // whether a POST to the path below the base URL is for a turn
	turn   func(w http.ResponseWriter, s string) // streams a completed turn with that answer: no more than is needed
}

// Responses is the Responses API of OpenAI, as codex 0.104 to 0.171 need it (measured).
func Responses() Protocol {
	return Protocol{
		key:    func(h http.Header) string { return strings.TrimPrefix(h.Get("Authorization"), "Bearer ") },
		isTurn: func(path string) bool { return path == "/responses" },
		turn:   respond,
	}
}

// Messages is the Messages API of Anthropic, as claude 2.1.332 and opencode 1.18.33 need it (measured). The base URL of
// opencode has the /v1.
func Messages() Protocol {
	return Protocol{
		key:    func(h http.Header) string { return h.Get("X-Api-Key") },
		isTurn: func(path string) bool { return path == "/v1/messages" },
		turn:   message,
	}
}

// Gemini is the Gemini API, as gemini 0.61.0 needs it (measured).
func Gemini() Protocol {
	return Protocol{
		key:    func(h http.Header) string { return h.Get("X-Goog-Api-Key") },
		isTurn: func(path string) bool { return strings.HasSuffix(path, ":streamGenerateContent") },
		turn:   generate,
	}
}

type object = map[string]any

func respond(w http.ResponseWriter, answer string) {
	message := func(content ...any) object {
		return object{"type": "message", "role": "assistant", "id": "msg_1", "content": append([]any{}, content...)}
	}
	nothing := object{"cached_tokens": 0, "reasoning_tokens": 0}
	send(w,
		object{"type": "response.created", "response": object{"id": "resp_1"}},
		object{"type": "response.output_item.added", "item": message()},
		object{"type": "response.output_text.delta", "item_id": "msg_1", "delta": answer},
		object{"type": "response.output_item.done", "item": message(object{"type": "output_text", "text": answer})},
		object{"type": "response.completed", "response": object{"id": "resp_1", "usage": object{"input_tokens": 0,
			"input_tokens_details": nothing, "output_tokens": 0, "output_tokens_details": nothing, "total_tokens": 0}}})
}

func message(w http.ResponseWriter, answer string) {
	send(w,
		object{"type": "message_start", "message": object{"id": "msg_1", "type": "message", "role": "assistant",
			"model": "stub", "content": []any{}, "stop_reason": nil, "stop_sequence": nil,
			"usage": object{"input_tokens": 0, "output_tokens": 0}}},
		object{"type": "content_block_start", "index": 0, "content_block": object{"type": "text", "text": ""}},
		object{"type": "content_block_delta", "index": 0, "delta": object{"type": "text_delta", "text": answer}},
		object{"type": "content_block_stop", "index": 0},
		object{"type": "message_delta", "delta": object{"stop_reason": "end_turn", "stop_sequence": nil},
			"usage": object{"output_tokens": 0}},
		object{"type": "message_stop"})
}

func generate(w http.ResponseWriter, answer string) {
	send(w, object{
		"candidates": []any{object{"content": object{"role": "model", "parts": []any{object{"text": answer}}},
			"finishReason": "STOP", "index": 0}},
		"usageMetadata": object{"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
		"modelVersion":  "stub",
	})
}

// send sends server-sent events. The name of an event is its type, if it has one.
func send(w http.ResponseWriter, events ...object) {
	for _, event := range events {
		data, err := json.Marshal(event)
		if err != nil {
			return // no value above can cause it
		}
		name := ""
		if kind, ok := event["type"]; ok {
			name = fmt.Sprintf("event: %s\n", kind)
		}
		if _, err := fmt.Fprintf(w, "%sdata: %s\n\n", name, data); err != nil {
			return // the agent has ended
		}
	}
}
