package reloading

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What the daemon publishes is what the requester reports; an outcome from before the signal is not taken for an
// answer.
func TestRequest(t *testing.T) {
	dir := t.TempDir()
	if err := Publish(dir, "an older refusal"); err != nil {
		t.Fatal(err)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for _, refused := range []string{"config.yaml:3: unknown key", "", "again"} {
		answered := make(chan error, 1)
		go func() {
			<-hangup
			answered <- Publish(dir, refused)
		}()
		err := Request(strconv.Itoa(os.Getpid()), dir)
		if refused == "" && err != nil || refused != "" && (err == nil || !strings.HasSuffix(err.Error(), ":\n"+refused)) {
			t.Errorf("published %q, reported %v", refused, err)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}

func TestRequestOutsideOfAUnit(t *testing.T) {
	for _, pid := range []string{"", "0", "-1", "x"} { // kill(0) and kill(-1) would signal other processes
		if err := Request(pid, t.TempDir()); err == nil || !strings.Contains(err.Error(), "systemctl reload netwatchd") {
			t.Errorf("pid %q: %v", pid, err)
		}
	}
	if err := Publish("", "nobody waits"); err != nil {
		t.Error(err)
	}
}
