package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/lab/parts"
)

// A program is asked whether it finds the service's address.
type program struct {
	Name string
	Musl bool   // it has musl's resolver
	Path string // of those in .cache
}

const (
	getent = "getent"
	node   = "node"
	claude = "claude"
	curl   = "curl"
)

// programs are those that each row asks. With a version of codex that one alone is asked.
func programs(version string) (all []program, missing error) {
	versions := []string{"0.104.0", "0.169.0"}
	if version != "" {
		versions = []string{version}
	} else {
		all = append(all, program{Name: getent}, program{Name: node})
		path, err := filepath.Abs("../../../.cache/claude/" + parts.ClaudeVersion + "/node_modules/.bin/claude")
		if _, absent := os.Stat(path); err != nil || absent != nil {
			missing = errors.New("needs claude: make claude")
		}
		all = append(all, program{Name: claude, Path: path})
	}
	for _, version := range versions {
		found, _ := filepath.Glob("../../../.cache/codex/" + version +
			"/node_modules/@openai/codex-linux-*/vendor/*/*/codex")
		if len(found) == 0 {
			missing = fmt.Errorf("needs codex %s: make codex, make codex-newest", version)
			continue
		}
		path, err := filepath.Abs(found[0])
		if err != nil {
			return nil, err
		}
		all = append(all, program{Name: "codex " + version, Musl: true, Path: path})
	}
	return all, missing
}

// lookupLimit is for a machine that is ten times slower than ours: every lookup here ends within ten seconds.
const lookupLimit = 3 * time.Minute

// An end is how a program's lookup ended.
type end struct {
	Found   bool
	At      string // the address that it connected to
	Dropped int    // packets to an address that does not work
	Said    string // shortened
	Error   string // it did not end
}

// lookup runs the program. A program that sends requests sends them to port.
func (p program) lookup(port int) end {
	switch p.Name {
	case getent:
		return prints("getent", "ahosts", serviceName)
	case node:
		return prints("node", "-e", `require("dns").lookup(process.argv[1], {all: true},
			(e, a) => console.log(e ? e.code : JSON.stringify(a)))`, serviceName)
	}
	return p.connects(port, service)
}

// prints reports whether the command prints the service's address.
func prints(command ...string) end {
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	out, _ := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	e := end{Found: strings.Contains(string(out), service), Said: string(out)}
	if ctx.Err() != nil {
		e.Error = "it did not end"
	}
	return e
}

// connects reports to which of the addresses the program connects before it reports an error or ends.
func (p program) connects(port int, addresses ...string) end {
	e, err := p.firstConnection(port, addresses)
	if err != nil {
		e.Error = err.Error()
	}
	e.Found = e.At != ""
	return e
}

func (p program) firstConnection(port int, addresses []string) (e end, err error) {
	connected := make(chan string, len(addresses))
	for _, address := range addresses {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(port)))
		if err != nil {
			return e, err
		}
		defer listener.Close()
		go func() {
			if conn, err := listener.Accept(); err == nil {
				connected <- address
				conn.Close()
			}
		}()
	}
	home, err := os.MkdirTemp("/var/tmp", "netwatchd-test-") // codex refuses a CODEX_HOME below $TMPDIR
	if err != nil {
		return e, err
	}
	defer os.RemoveAll(home)
	argv, env, err := p.command(home, fmt.Sprintf("http://%s:%d", serviceName, port))
	if err != nil {
		return e, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = home, append(env, "HOME="+home, "PATH="+os.Getenv("PATH"), "TERM=dumb")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, in, err := os.Pipe()
	if err != nil {
		return e, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = in, in
	err = cmd.Start()
	in.Close()
	if err != nil {
		return e, err
	}
	said, failed := new(strings.Builder), make(chan struct{})
	go func() {
		defer close(failed)
		readUntilFailure(out, said)
	}()
	select {
	case e.At = <-connected:
	case <-failed:
		select {
		case e.At = <-connected:
		default:
		}
	case <-ctx.Done():
		err = errors.New("neither connected nor failed")
	}
	cancel()
	cmd.Wait()
	<-failed
	e.Said = said.String()
	return e, err
}

// readUntilFailure reads a program's output until codex reports an error, or the output ends. Newer versions of codex
// would try for ever.
func readUntilFailure(r io.Reader, said *strings.Builder) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if said.Len() < 2000 {
			said.WriteString(lines.Text() + "\n")
		}
		line := lines.Text()
		if strings.HasPrefix(line, `{"type":"error"`) || strings.HasPrefix(line, `{"type":"turn.failed"`) {
			return
		}
	}
}

// command returns how the program sends a request to a base URL, once.
func (p program) command(home, url string) (argv, env []string, err error) {
	switch p.Name {
	case node:
		return []string{node, "-e", `fetch(process.argv[1]).catch(e => console.log(e.cause ?? e))`, url}, nil, nil
	case curl:
		return []string{curl, "-sS", url}, nil, nil
	case claude:
		return []string{p.Path, "-p", "hi", "--output-format", "json", "--no-session-persistence", "--strict-mcp-config",
				"--tools", "", "--setting-sources", "", "--disable-slash-commands", "--system-prompt", "Be brief.",
				"--model", "haiku"},
			[]string{"ANTHROPIC_BASE_URL=" + url, "ANTHROPIC_API_KEY=sk-ant-dummy", "CLAUDE_CODE_MAX_RETRIES=0",
				"DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
				"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK=1", "API_TIMEOUT_MS=120000"}, nil
	}
	config := "model_provider = \"x\"\n[model_providers.x]\nname = \"x\"\nbase_url = \"" + url +
		"/v1\"\nwire_api = \"responses\"\nrequest_max_retries = 0\nstream_max_retries = 0\n" +
		"[features]\nunbounded_connection_retries = false\n"
	return []string{p.Path, "exec", "--json", "--skip-git-repo-check", "hi"}, []string{"CODEX_HOME=" + home},
		os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o600)
}
