package responses

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Ask makes the model ask codex for one command, in every turn. Output returns what the command printed.
func (s *Server) Ask(command string) { s.command.Store(&command) }

// Forget drops the requests so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// A turn is what the server reads of the request for one.
type turn struct {
	Tools []struct{ Name string }
	Input []struct {
		Type   string
		Output json.RawMessage
	}
}

// Output returns what the command of Ask printed, as codex tells the model, with its own words around it.
func (s *Server) Output() (text string, ok bool) {
	for _, r := range s.Turns() {
		if output := readTurn([]byte(r.Body)).output(); output != nil {
			if json.Unmarshal(output, &text) != nil {
				text = string(output)
			}
			ok = true
		}
	}
	return text, ok
}

func readTurn(body []byte) (t turn) {
	_ = json.Unmarshal(body, &t) // a body that is compressed is that of codex's own provider, which gets no command
	return t
}

func (t turn) output() json.RawMessage {
	for _, item := range t.Input {
		if item.Type == "function_call_output" {
			return item.Output
		}
	}
	return nil
}

// patience is for a command on a busy machine, in milliseconds. Without it codex 0.169 returns after ten seconds.
const patience = 30_000

// ask streams the call of a tool that runs the command. 0.104.0 has shell_command, 0.169.0 exec_command.
func ask(w http.ResponseWriter, t turn, command string) {
	name, arguments := "shell_command", map[string]any{"command": command, "timeout_ms": patience}
	for _, tool := range t.Tools {
		if tool.Name == "exec_command" {
			name, arguments = tool.Name, map[string]any{"cmd": command, "yield_time_ms": patience}
		}
	}
	inner, _ := json.Marshal(arguments)
	event(w, "response.output_item.done", fmt.Sprintf(
		`{"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":%q,"arguments":%q}}`, name, inner))
}
