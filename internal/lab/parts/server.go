package parts

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// Program finds a server, also in the directories where Debian keeps servers out of a plain user's PATH. It skips the
// test if it is missing.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skipf("needs %s: apt-get install %s", name, pkg)
	return ""
}

// A Server is a process in a namespace.
type Server struct {
	In   *Namespace
	Via  []string // a command that runs it; empty: none
	Path string
	Args []string
	cmd  *exec.Cmd
	said Buffer
}

// Start starts the server.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	command := s.In.Command(slices.Concat(s.Via, []string{s.Path}, s.Args)...)
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", s.Path, err)
	}
}

// Stop kills the server; its ports are closed when it returns.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// Said returns its output.
func (s *Server) Said() string { return s.said.String() }

// Await waits until the server answers.
func (s *Server) Await(t testing.TB, answers func() error) {
	t.Helper()
	if err := Eventually(10*time.Second, answers); err != nil {
		s.Stop()
		t.Fatalf("%s does not answer: %v\n%s", filepath.Base(s.Path), err, s.said.String())
	}
}

// Write executes tmpl with data into a file.
func Write(t testing.TB, path string, tmpl *template.Template, data any) {
	t.Helper()
	var text bytes.Buffer
	if err := tmpl.Execute(&text, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Table is where a test writes its results, for `make e2e` to print at the end, or nowhere outside of it. An older
// table of this name is replaced.
func Table(t testing.TB, name string) io.Writer {
	t.Helper()
	dir := os.Getenv("NETWATCHD_TABLES")
	if dir == "" {
		return io.Discard
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Eventually calls check until it returns nil or the time is over; then it returns the last error.
func Eventually(within time.Duration, check func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", within, err)
		}
		time.Sleep(5 * time.Millisecond) // a pause between questions, not what is waited for
	}
}

// A Buffer can be read while a process writes to it.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
