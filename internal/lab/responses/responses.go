// Package responses is a mock of the services of coding agents.
//
// It implements what the agents need for a turn (codex 0.104 to 0.169, claude 2.1, gemini 0.61), and misbehaves in one way at a
// time. It is test code.
package responses

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Behaviour is how the server handles a turn. It can change while codex runs.
type Behaviour int32

const (
	OK              Behaviour = iota // answers "OK"
	Other                            // answers something else
	Empty                            // completes the turn without an answer
	Unauthorized                     // 401
	Challenge                        // 403 with a CDN's page
	UsageLimit                       // 429 of an account that has used its share
	RateLimit                        // 429 of too many requests
	ServerError                      // 500
	BadGateway                       // 502
	Unavailable                      // 503
	Cut                              // ends the stream before the turn is completed
	Abort                            // resets the connection in the middle of the stream
	Stall                            // says the first event and nothing more
	StallHeaders                     // accepts the request and says nothing
	Garbage                          // a stream of nonsense
	Page                             // 200 with a page, as a captive portal has
	ModelRefused                     // 400: no such model
	NotFound                         // 404
	Geo                              // 403 for a country that is not served
	TooLarge                         // 413
	UpgradeRequired                  // 426
	Legal                            // 451
	BadRequest                       // 400 that names no model
	SignInMissing                    // 401 that says that no sign-in came with the request
	BehaviourCount                   // how many there are
)

var names = [BehaviourCount]string{"OK", "Other", "Empty", "Unauthorized", "Challenge", "UsageLimit", "RateLimit",
	"ServerError", "BadGateway", "Unavailable", "Cut", "Abort", "Stall", "StallHeaders", "Garbage", "Page",
	"ModelRefused", "NotFound", "Geo", "TooLarge", "UpgradeRequired", "Legal", "BadRequest", "SignInMissing"}

func (b Behaviour) String() string { return names[b] }

// Usage is the token usage of every completed turn.
var Usage = struct{ Input, CachedInput, Output int64 }{1234, 1000, 5}

// A Request is a request that the server got, with its body unless compressed.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         string
}

// Server is the mock. The zero value answers "OK" and can be the handler of any server.
type Server struct {
	behaviour atomic.Int32
	command   atomic.Pointer[string] // nil: the model asks for none

	// RefusesRenewal makes the sign-in's renewal fail, as for a refresh token that has expired.
	RefusesRenewal atomic.Bool
	// RefusesRouting makes routing discovery fail with 503.
	RefusesRouting atomic.Bool

	mu       sync.Mutex
	requests []Request

	http   *httptest.Server
	closed chan struct{}
}

// Start serves on a free port of the loopback address; over TLS if a certificate is given. Close ends it.
func Start(certificates ...tls.Certificate) *Server {
	s := &Server{closed: make(chan struct{})}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust us is what some tests are about
	if len(certificates) == 0 {
		s.http.Start()
		return s
	}
	s.http.EnableHTTP2 = true
	s.http.TLS = &tls.Config{Certificates: certificates}
	s.http.StartTLS()
	return s
}

// Close ends the server and every stalled request.
func (s *Server) Close() {
	close(s.closed)
	s.http.CloseClientConnections()
	s.http.Close()
}

// URL is the server's address: scheme, host, port.
func (s *Server) URL() string { return s.http.URL }

// BaseURL is the base URL for codex's provider.
func (s *Server) BaseURL() string { return s.http.URL + "/backend-api/codex" }

// RenewalURL is where a sign-in is renewed: codex reads CODEX_REFRESH_TOKEN_URL_OVERRIDE.
func (s *Server) RenewalURL() string { return s.http.URL + "/oauth/token" }

// Behave changes how the server handles later turns.
func (s *Server) Behave(b Behaviour) { s.behaviour.Store(int32(b)) }

// Requests returns the requests so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Turns returns the requests for turns so far.
func (s *Server) Turns() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool {
		return r.Method != http.MethodPost || !strings.HasSuffix(r.Path, "/responses") && !isMessages(r.Path) &&
			!isGemini(r.Path)
	})
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.Header.Clone(), string(body)})
	s.mu.Unlock()
	w.Header().Set("Cf-Ray", "8c0ffee0badf00d0-AMS")
	switch {
	case strings.HasSuffix(r.URL.Path, "/responses"):
		s.responses(w, r, body)
	case isMessages(r.URL.Path):
		s.messages(w, r)
	case isGemini(r.URL.Path):
		s.gemini(w, r)
	case r.URL.Path == "/api/hello":
		reply(w, http.StatusOK, `{"message":"hello"}`)
	case strings.HasSuffix(r.URL.Path, "/models"):
		reply(w, http.StatusOK, `{"models":[]}`)
	case strings.HasSuffix(r.URL.Path, "/accounts/check") && s.RefusesRouting.Load():
		reply(w, http.StatusServiceUnavailable, `{"detail":"Service Unavailable"}`)
	case strings.HasSuffix(r.URL.Path, "/accounts/check") && r.Header.Get("Authorization") == "":
		reply(w, http.StatusUnauthorized, `{"detail":"Unauthorized"}`)
	case strings.HasSuffix(r.URL.Path, "/accounts/check"):
		reply(w, http.StatusOK, `{"accounts":[{"id":"`+accountID+
			`","workspace_backend_origin":"NO_CONSTRAINT","account_routing_override":"NO_CONSTRAINT"}]}`)
	case r.URL.Path == "/oauth/token":
		s.renew(w)
	default:
		reply(w, http.StatusNotFound, `{"detail":"Not Found"}`)
	}
}

// responses answers as the real endpoint does: only POST is allowed, and a WebSocket request gets 426, so that codex
// uses plain HTTP.
func (s *Server) responses(w http.ResponseWriter, r *http.Request, body []byte) {
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		reply(w, http.StatusUpgradeRequired, `{"detail":"Upgrade Required"}`)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, `{"detail":"Method Not Allowed"}`)
	default:
		s.turn(w, r, body)
	}
}

func (s *Server) renew(w http.ResponseWriter) {
	if s.RefusesRenewal.Load() {
		reply(w, http.StatusUnauthorized, `{"error":{"code":"refresh_token_expired"}}`)
		return
	}
	token := accessToken()
	json.NewEncoder(w).Encode(map[string]string{"id_token": token, "access_token": token, "refresh_token": "rt_next"})
}

// A refusal is an answer to a turn without a stream.
type refusal struct {
	status int
	body   string
}

// refusals are codex's.
var refusals = map[Behaviour]refusal{
	Unauthorized: {
		401,
		`{"error":{"message":"Incorrect API key provided: sk-test.","type":"invalid_request_error","code":"invalid_api_key"}}`,
	},
	Challenge: {403, challengePage},
	UsageLimit: {
		429,
		`{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_in_seconds":3600}}`,
	},
	RateLimit:   {429, `{"error":{"type":"requests","code":"rate_limit_exceeded","message":"Rate limit reached"}}`},
	ServerError: {500, `{"error":{"message":"The server had an error","type":"server_error"}}`},
	BadGateway: {
		502,
		"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center>cloudflare</center></body>\r\n</html>",
	},
	Unavailable:  {503, `{"detail":"Service Unavailable"}`},
	Page:         {200, "<!DOCTYPE html><html><head><title>Welcome to our wireless network</title></head></html>"},
	ModelRefused: {400, `{"detail":"The 'gpt-nope' model is not supported when using Codex with a ChatGPT account."}`},
	NotFound:     {404, `{"detail":"Not Found"}`},
	Geo: {403, `{"error":{"code":"unsupported_country_region_territory",` +
		`"message":"Country, region, or territory not supported","type":"request_forbidden"}}`},
	TooLarge:        {413, "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n</html>"},
	UpgradeRequired: {426, `{"detail":"Upgrade Required"}`},
	SignInMissing:   {401, `{"detail":"We got your request, but your ChatGPT login did not make it to this service."}`},
	Legal:           {451, `{"detail":"Unavailable For Legal Reasons"}`},
	BadRequest: {400, `{"error":{"message":"Invalid 'input[0].content': the value is not allowed.",` +
		`"type":"invalid_request_error","param":"input[0].content","code":null}}`},
}

const challengePage = `<!DOCTYPE html>
<html lang="en-US"><head><title>Just a moment...</title><meta name="robots" content="noindex,nofollow"></head>
<body>Enable JavaScript and cookies to continue</body></html>`

// begin refuses a turn or leaves it without an answer, if that is how the service behaves. Otherwise it begins a stream
// of events and reports true.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, refusals map[Behaviour]refusal) (Behaviour, bool) {
	behaviour := Behaviour(s.behaviour.Load())
	if refusal, ok := refusals[behaviour]; ok {
		refuse(w, refusal)
		return behaviour, false
	}
	if behaviour == StallHeaders {
		s.hold(r)
		return behaviour, false
	}
	w.Header().Set("Content-Type", "text/event-stream")
	return behaviour, true
}

func (s *Server) turn(w http.ResponseWriter, r *http.Request, body []byte) {
	behaviour, begun := s.begin(w, r, refusals)
	if !begun {
		return
	}
	if behaviour == Garbage {
		fmt.Fprint(w, "data: {{{{\n\nevent: \x00\x01\n\nnonsense\n\n")
		return
	}
	event(w, "response.created", `{"response":{"id":"resp_1"}}`)
	switch behaviour {
	case Stall:
		s.hold(r)
		return
	case Abort:
		panic(http.ErrAbortHandler)
	case Cut:
		return
	case OK:
		t := readTurn(body)
		if command := s.command.Load(); command != nil && t.output() == nil {
			ask(w, t, *command)
		} else {
			say(w, "OK")
		}
	case Other:
		say(w, "I cannot do that")
	}
	event(w, "response.completed", fmt.Sprintf(`{"response":{"id":"resp_1","usage":{"input_tokens":%d,`+
		`"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":0},`+
		`"total_tokens":%d}}}`, Usage.Input, Usage.CachedInput, Usage.Output, Usage.Input+Usage.Output))
}

func refuse(w http.ResponseWriter, r refusal) {
	if strings.HasPrefix(r.body, "<") {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	}
	reply(w, r.status, r.body)
}

// hold keeps a request waiting until the client or the server gives up.
func (s *Server) hold(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}

// say streams one message of the agent.
func say(w http.ResponseWriter, text string) {
	item := `{"type":"message","role":"assistant","id":"msg_1","content":[%s]}`
	content := fmt.Sprintf(`{"type":"output_text","text":%q}`, text)
	event(w, "response.output_item.added", `{"item":`+fmt.Sprintf(item, "")+`}`)
	event(w, "response.output_text.delta", fmt.Sprintf(`{"item_id":"msg_1","delta":%q}`, text))
	event(w, "response.output_item.done", `{"item":`+fmt.Sprintf(item, content)+`}`)
}

// event sends one server-sent event; its type is repeated in the data.
func event(w http.ResponseWriter, kind, data string) {
	fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q,%s\n\n", kind, kind, strings.TrimPrefix(data, "{"))
	http.NewResponseController(w).Flush()
}

func reply(w http.ResponseWriter, status int, body string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	io.WriteString(w, body)
}
