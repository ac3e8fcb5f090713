package stack

import (
	"fmt"
	"net/http"
	"os/exec"
	"time"

	"netwatchd/internal/lab/parts"
)

// URL is where the daemon listens inside, by its default.
const URL = "http://127.0.0.1:19405"

// An Exit is how a run of netwatchd ended.
type Exit = parts.Exit

// Run runs netwatchd on this host and returns how it ended.
func (s *Stack) Run(args ...string) Exit {
	s.t.Helper()
	return s.netwatchd().Run(s.t, args...)
}

// Command is netwatchd on this host, not started yet.
func (s *Stack) Command(args ...string) *exec.Cmd { return s.netwatchd().Command(args...) }

func (s *Stack) netwatchd() *parts.Netwatchd {
	return &parts.Netwatchd{In: host, Dir: s.Dir, Env: s.Env}
}

// A Daemon is a running `netwatchd run`.
type Daemon struct{ *parts.Daemon }

// Daemon starts the daemon, and kills it when the test ends. It may not be ready yet.
func (s *Stack) Daemon(args ...string) *Daemon {
	s.t.Helper()
	return &Daemon{s.netwatchd().Start(s.t, args...)}
}

// AwaitReady waits until the first round is over.
func (d *Daemon) AwaitReady() {
	d.Await(10*time.Second, func() error { return answers(URL + "/-/ready") })
}

// answers reports whether url answers 200.
func answers(url string) error {
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
