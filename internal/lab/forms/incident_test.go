package forms

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
)

var records = flag.String("records", "", "write what the replayed incident printed into files in this directory")

// What was found by hand in the incident, by section, and what the report must say of it. Only 0.104.0, the version of
// the incident, has its exact sentences and features.
var foundByHand = []struct {
	section, facts string
	heading        string
	want, want104  []string
}{
	{"scope", "settings, cause, tests outside the sandbox; local time +09:00; a workspace under /mnt/c", "Scope",
		[]string{"`https://chatgpt.com/backend-api/codex/responses`", "+09:00` (`KST`), local time", "Workspace: `/mnt/c/work`"}, nil},
	{"runtime", "codex, node, python3; CODEX_CI, CODEX_MANAGED_BY_NPM, CODEX_SANDBOX_NETWORK_DISABLED, a CODEX_THREAD_ID", "Runtime",
		[]string{"codex: `VERSION`", "node: `v", "python3: `Python 3", "environment: `CODEX_CI=1`", "environment: `CODEX_MANAGED_BY_NPM=1`",
			"environment: `CODEX_THREAD_ID=", "environment in the sandbox: `CODEX_SANDBOX_NETWORK_DISABLED=1`"}, nil},
	{"configuration", "two projects, both trusted, and nothing else", "The agent's configuration",
		[]string{"projects = '2, names omitted'\n```", "Projects: 2 trusted, 0 untrusted, 0 other"}, nil},
	{"feature flags", "name, stage and value of six features", "Feature flags",
		[]string{"| `shell_tool` | `stable` | true |", "| `unified_exec` | `stable` | true |", "| `shell_snapshot` | `stable` | true |",
			"| `enable_request_compression` | `stable` | true |"},
		[]string{"| `collaboration_modes` | `stable` | true |", "| `personality` | `stable` | true |"}},
	{"symptom", "the agent's two sentences, verbatim", "Symptom", []string{"error sending request"},
		[]string{"stream disconnected before completion", "error sending request for url (https://chatgpt.com/backend-api/codex/responses)"}},
	{"root cause", "the sandbox's network restriction, neither model nor program", "Verdict and evidence",
		[]string{"**sandbox**: `the agent's run failed in its sandbox, which has no network, as configured`"}, nil},
	{"evidence", "the policy of the turn; the variable; inside, names are not resolved; outside, HEAD gets 405 with allow: POST",
		"Verdict and evidence", []string{"`sandbox_policy.network_access=false`", "reason `CODEX_SANDBOX_NETWORK_DISABLED=1`",
			"for chatgpt.com A: dial udp 192.0.2.1:53: socket: operation not permitted", "status 405 with `Allow: POST`"}, nil},
	{"transition", "what was run outside, in order: it answers OK each time", "Timeline",
		[]string{"run 1 of RUNS, on the host: exec codex: ok, answer: OK", "run RUNS of RUNS, inside the sandbox: exec codex: exec.network"}, nil},
	{"backtest", "inside it fails, outside it succeeds, reproducibly", "Backtest",
		[]string{"on the host: HALF of HALF run", "inside the sandbox: 0 of HALF run"}, nil},
	{"warnings", "stale arg0 directories, PATH not updated: neither blocks", "Non-blocking warnings",
		nil, []string{"`codex_arg0_cleanup`", "`codex_path_update`"}},
	{"conclusion", "run with network access: an approved escalation, or a policy that allows it", "What to do",
		[]string{"approve it when the agent asks", "[sandbox_workspace_write]\nnetwork_access = true"}, nil},
}

// TestTheIncident replays the incident that started this project, without a configuration: a command of the agent runs
// codex in its sandbox, which fails with the sentence of every network fault. Then netwatchd is asked inside and
// outside, backtest compares, and the report must have what a person found by hand.
func TestTheIncident(t *testing.T) {
	t.Parallel()
	for _, version := range []string{oldest, usual} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			n.install(form{chatGPT: true}, version)
			n.write(codexHome+"/config.toml", "[projects.\"/mnt/c/one\"]\ntrust_level = \"trusted\"\n"+
				"[projects.\"/mnt/c/two\"]\ntrust_level = \"trusted\"\n")
			n.write("/etc/localtime", seoul())
			u := n.user(form{}, version)
			u.daemon()

			command := "PATH=" + u.path() + ":" + parts.Dir() +
				"; codex exec --skip-git-repo-check '정확히 OK 한 단어만 출력'; netwatchd check"
			inside := u.toolCall(command)
			says(t, "the agent inside its sandbox", inside, map[string]string{
				oldest: "ERROR: stream disconnected before completion: error sending request for url (" + chatGPTTurns + ")",
				usual:  "ERROR: workspace routing discovery failed"}[version])
			says(t, "check inside", inside, "It is the sandbox: network access is denied here and works on the host.",
				"CODEX_SANDBOX_NETWORK_DISABLED=1", "CODEX_CI=1", "(405 in", "Run this with network access.")
			check := u.netwatchd("check")
			says(t, "check outside", check.stdout, "codex: reachable", "The sandbox has no network, as configured.")

			// As a command that the agent runs outside of its sandbox, after an approval.
			u.env = append(u.env, "CODEX_CI=1", "CODEX_MANAGED_BY_NPM=1", "CODEX_THREAD_ID=019a0000-0000-7000-8000-000000000000")
			half := 1
			if *matrix || *records != "" {
				half = 3 // as in the incident; one run inside takes 0.104.0 ten seconds
			}
			backtest := u.netwatchd("backtest", "-n", fmt.Sprint(half))
			says(t, "backtest", backtest.stdout, fmt.Sprintf("host: %d of %[1]d run", half), fmt.Sprintf("sandbox: 0 of %d run", half),
				"as configured", "observation, not a fault")
			report := u.netwatchd("explain", "latest", "--workspace", "/mnt/c/work").stdout
			sections := sectionsOf(report)
			var beside bytes.Buffer
			for i, found := range foundByHand {
				text := sections[found.heading]
				fmt.Fprintf(&beside, "\n# %s\n\nBy hand: %s. The report:\n", found.section, found.facts)
				if i == 0 || foundByHand[i-1].heading != found.heading {
					fmt.Fprintf(&beside, "\n<blockquote>\n\n%s\n</blockquote>\n", cmp.Or(text, "nothing"))
				} else {
					fmt.Fprintf(&beside, "the same section, %q.\n", found.heading)
				}
				want := found.want
				if version == oldest {
					want = append(want[:len(want):len(want)], found.want104...)
				}
				for _, w := range want {
					w = strings.NewReplacer("VERSION", version, "RUNS", fmt.Sprint(2*half), "HALF", fmt.Sprint(half)).Replace(w)
					if !strings.Contains(text, w) {
						t.Errorf("%s (%s): %q is not in the section %q of the report:\n%s", found.section, found.facts, w, found.heading, text)
					}
				}
			}
			if *records != "" {
				n.must(os.WriteFile(filepath.Join(*records, "codex-"+version+".md"), fmt.Appendf(nil,
					"# A command of the agent, in its sandbox\n\n```text\n$ %s\n%s```\n\n# netwatchd check, outside\n\n```text\n%s```\n\n"+
						"# netwatchd backtest\n\n```text\n%s```\n%s\n# The whole report\n\n%s", command, inside, check.stdout, backtest.stdout,
					beside.String(), report), 0o644))
			}
		})
	}
}

func says(t *testing.T, who, text string, words ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ") // lines are broken where they fit
	for _, want := range words {
		if !strings.Contains(flat, want) {
			t.Errorf("%s does not say %q:\n%s", who, want, text)
		}
	}
}

// sectionsOf returns the sections of a report by heading, without their numbers.
func sectionsOf(report string) map[string]string {
	sections := make(map[string]string)
	for _, section := range strings.Split(report, "\n## ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		_, heading, _ = strings.Cut(heading, ". ")
		sections[heading] = strings.TrimSpace(text) + "\n"
	}
	return sections
}

// toolCall has the agent run a shell command, in the sandbox of its commands, and returns the output.
func (u *user) toolCall(command string) string {
	u.t.Helper()
	output := "/tmp/" + u.name + "-output"
	ended := fmt.Sprintf("/proc/%d/root%s-ended", u.host.PID(), output)
	u.ask(fmt.Sprintf("{ %s; } >%s 2>&1; mv %[2]s %[2]s-ended", command, output), ended)
	defer u.answer.Store(nil)
	// The default model of 0.169.0 has no tool for commands.
	e := u.run("codex", "exec", "--json", "--skip-git-repo-check", "-m", "gpt-5.5", "-s", "workspace-write", "Go on")
	text, err := os.ReadFile(ended)
	if err != nil {
		u.t.Fatalf("the agent did not run the command to its end: %v, exit code %d\n%s%s", err, e.code, e.stdout, e.stderr)
	}
	return string(text)
}

// ask makes the model answer the next turn with a shell command that the agent is to run, and end the one after it when
// the command has left the file ended: codex waits at most 30 seconds for a command, then goes on with the turn, and
// kills the command when the turn ends.
func (n *internet) ask(command, ended string) {
	n.t.Helper()
	arguments, err := json.Marshal(map[string]any{"cmd": command, "yield_time_ms": 30_000})
	n.must(err)
	item, err := json.Marshal(map[string]any{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "exec_command",
		"arguments": string(arguments)})
	n.must(err)
	asked := false // turns come one after the other
	answer := func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/responses") {
			return false
		}
		if asked {
			for _, err := os.Stat(ended); err != nil && r.Context().Err() == nil; _, err = os.Stat(ended) {
				time.Sleep(100 * time.Millisecond)
			}
			return false
		}
		asked = true
		rw.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{
			`{"type":"response.created","response":{"id":"resp_0"}}`,
			fmt.Sprintf(`{"type":"response.output_item.done","item":%s}`, item),
			`{"type":"response.completed","response":{"id":"resp_0","usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}`,
		} {
			fmt.Fprintf(rw, "data: %s\n\n", event)
		}
		return true
	}
	n.answer.Store(&answer)
}

// seoul is a time zone file: nine hours ahead of UTC, always (RFC 8536, version 1).
func seoul() string {
	file := append([]byte("TZif"), make([]byte, 16+4*4)...)              // the version, and no transitions
	for _, n := range []uint32{1, uint32(len("KST\x00")), 9 * 60 * 60} { // one type, its letters, its offset
		file = binary.BigEndian.AppendUint32(file, n)
	}
	return string(file) + "\x00\x00KST\x00"
}
