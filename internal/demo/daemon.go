package demo

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A daemon is a running `netwatchd run`.
type daemon struct {
	cmd   *exec.Cmd
	page  string
	ended chan struct{} // closed when the process has ended
	last  string        // the last line of its log; to be read once ended is closed
	state error         // how it ended; likewise
}

// stopWithin is how long the daemon has to stop. It cancels its attempts and closes its store: milliseconds, unless the
// disk is very busy.
const stopWithin = 20 * time.Second

// startDaemon starts the daemon and waits until it serves its page. Its environment has nothing of the user's: no home,
// no PATH on which it would find an agent, no proxy and no NETWATCHD_ variable.
func startDaemon(ctx context.Context, program, config, dir string) (*daemon, error) {
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		return nil, err
	}
	d := &daemon{ended: make(chan struct{})}
	d.cmd = exec.Command(program, "run", "--config.file="+config)
	d.cmd.Dir = empty
	d.cmd.Env = []string{"HOME=" + empty, "PATH=" + empty, "TMPDIR=" + dir, "TZ=" + os.Getenv("TZ")}
	// A group of its own: Ctrl-C is for the demo, which then stops the daemon. It also ends if the demo is killed.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log, err := d.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	started, pages := make(chan error, 1), make(chan string, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread ends that started the process: prctl(2)
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		d.last = followLog(log, pages)
		d.state = d.cmd.Wait()
		close(d.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting the daemon: %w", err)
	}
	select {
	case d.page = <-pages:
		return d, nil
	case <-d.ended:
		return nil, d.err()
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), d.stop())
	}
}

// followLog reads the daemon's log until its end, sends the URL of the page and returns the last line.
func followLog(log io.Reader, pages chan<- string) (last string) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		last = lines.Text()
		var entry struct{ Page string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Page != "" {
			pages <- entry.Page // logged once, at the start
		}
	}
	_, _ = io.Copy(io.Discard, log) // a line that is too long must not block the daemon
	return last
}

// err returns how the daemon ended, or nil if it runs.
func (d *daemon) err() error {
	select {
	case <-d.ended:
		state := "exit status 0"
		if d.state != nil {
			state = d.state.Error()
		}
		return fmt.Errorf("the demo's daemon ended (%s): %s", state, cmp.Or(d.last, "it logged nothing"))
	default:
		return nil
	}
}

// stop stops the daemon and waits for its end.
func (d *daemon) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	select {
	case <-d.ended:
		return nil
	case <-time.After(stopWithin):
		_ = d.cmd.Process.Kill()
		<-d.ended
		return fmt.Errorf("the demo's daemon did not stop within %v and was killed", stopWithin)
	}
}
