// Package reloading lets a systemd unit's ExecReload= wait for the outcome of a reload. SIGHUP alone carries no answer:
// with `kill -HUP` there, systemctl reload exits with 0 although the daemon refuses the new configuration.
package reloading

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"netwatchd/internal/userfile"
)

// An outcome is how the last reload ended. It is a file because in systemd 252 a process of ExecReload= sees neither
// the unit's credentials, which checking the configuration would take, nor the daemon's answers to sd_notify.
type outcome struct {
	At      time.Time `json:"at"`
	Refused string    `json:"refused,omitempty"` // why
}

func fileIn(directory string) string { return filepath.Join(directory, "reload.json") }

// Publish writes how a reload ended to the unit's runtime directory. refused is why the daemon keeps its previous
// configuration, or empty. An empty directory means that no unit waits.
func Publish(directory, refused string) error {
	if directory == "" {
		return nil
	}
	text, err := json.Marshal(outcome{At: time.Now(), Refused: refused})
	if err != nil {
		return err
	}
	return userfile.Replace(fileIn(directory), text)
}

const (
	// limit is below the units' TimeoutStartSec=90s, after which systemd would kill the process without a word. A reload
	// of ten thousand probes takes two seconds on one core.
	limit = time.Minute
	// pause is short beside the 100 ms of an ordinary reload.
	pause = 20 * time.Millisecond
)

// Request makes the process pid reload its configuration, and returns when that has ended. It returns an error if the
// daemon refuses the new configuration, or does not answer within a minute.
func Request(pid, directory string) error {
	id, err := strconv.Atoi(pid)
	if err != nil || id <= 0 || directory == "" {
		return errors.New("$MAINPID and $RUNTIME_DIRECTORY are not set, as they are for ExecReload= of a unit: " +
			"run systemctl reload netwatchd, or send SIGHUP to the daemon")
	}
	before, err := os.ReadFile(fileIn(directory))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syscall.Kill(id, syscall.SIGHUP); err != nil {
		return fmt.Errorf("cannot send SIGHUP to process %d: %w", id, err)
	}
	for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(pause) {
		now, err := os.ReadFile(fileIn(directory))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err == nil && !bytes.Equal(now, before) {
			return read(now)
		}
	}
	return fmt.Errorf("process %d did not answer SIGHUP within %v: read its log", id, limit)
}

func read(text []byte) error {
	var o outcome
	err := json.Unmarshal(text, &o)
	if err == nil && o.Refused != "" {
		return fmt.Errorf("the daemon keeps its previous configuration:\n%s", o.Refused)
	}
	return err
}
