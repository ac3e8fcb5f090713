package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
)

const (
	// beforeCut is how many transactions are written, the last of them only to the log. SQLite moves the log into the
	// database when it has 256 pages; these have less.
	beforeCut = 30
	onlyInLog = 10
	powerCuts = 60 // make chaos makes ten times as many
)

// A power cut leaves the log at any length, its last sectors zero or random. The transactions before that survive,
// each whole, in order; nothing is moved away, and writing goes on.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	database, log := cutFiles(t)
	least, most := beforeCut, 0
	seed := rand.Uint64()
	for n := range powerCuts {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		cut := slices.Clone(log[:rng.IntN(len(log)+1)])
		torn := cut[len(cut)-rng.IntN(min(len(cut), 8192)+1):] // two pages
		switch rng.IntN(3) {
		case 0:
			clear(torn)
		case 1:
			for at := range torn {
				torn[at] = byte(rng.Uint32())
			}
		}
		survived, err := afterCut(t, database, cut, n%20 == 0)
		if err != nil {
			t.Fatalf("seed %d, cut %d at %d of %d bytes, %d of them torn: %v", seed, n, len(cut), len(log), len(torn), err)
		}
		least, most = min(least, survived), max(most, survived)
	}
	if least < beforeCut-onlyInLog || most-least < onlyInLog/2 {
		t.Errorf("%d to %d of %d transactions survived, want %d at least, and fewer than all after some cuts", least, most,
			beforeCut, beforeCut-onlyInLog)
	}
	if survived, err := afterCut(t, database, log, true); err != nil || survived != beforeCut {
		t.Errorf("without a cut %d transactions survived of %d, %v", survived, beforeCut, err)
	}
}

// cutFiles returns the database and the log of a store in use.
func cutFiles(t *testing.T) (database, log []byte) {
	t.Helper()
	s := opened(t, t.TempDir())
	for n := range beforeCut {
		i := codexDown()
		i.Number, i.ID = n+1, fmt.Sprintf("20261123-codex-%d", n+1)
		i.Opened = i.Opened.Add(time.Duration(n) * time.Hour)
		closed := i.Opened.Add(30 * time.Minute)
		i.Closed = &closed
		write(t, s, Batch{Incidents: []*incident.Incident{i}, Entries: []Entry{Attempt{Result: probe.Result{
			Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec}, Start: i.Opened, Why: strings.Repeat("w", 6000)}}}})
		if n == beforeCut-onlyInLog-1 {
			if _, err := s.db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
				t.Fatal(err)
			}
		}
	}
	var err error
	if database, err = os.ReadFile(s.Path()); err != nil {
		t.Fatal(err)
	}
	if log, err = os.ReadFile(s.Path() + "-wal"); err != nil {
		t.Fatal(err)
	}
	return database, log
}

// afterCut opens a store with these files and writes to it, as the next daemon does. It returns how many transactions
// survived. To decode every row takes as long as all else: not every store needs that.
func afterCut(t *testing.T, database, log []byte, decodeAll bool) (survived int, err error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, content := range map[string][]byte{File: database, File + "-wal": log} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if s.Moved != "" {
		return 0, fmt.Errorf("the store was moved to %s", s.Moved)
	}
	found, survived, err := s.Incidents(t.Context(), incident.Filter{})
	if err != nil {
		return 0, err
	}
	for n, i := range found { // newest first
		if want := survived - n; i.Number != want {
			return 0, fmt.Errorf("incident %s, want number %d", i.ID, want)
		}
	}
	if detail, err := s.Detail(t.Context(), found[0].ID); err != nil || len(detail.Attempts) == 0 {
		return 0, fmt.Errorf("the last transaction is not whole: %d attempts, %w", len(detail.Attempts), err)
	}
	if err := s.Write(t.Context(), &Batch{Run: &incident.DaemonRun{Started: noon, Seen: noon}}); err != nil {
		return 0, err
	}
	if !decodeAll {
		return survived, nil
	}
	h, err := Check(t.Context(), dir)
	if err == nil && len(h.Faults) > 0 {
		err = fmt.Errorf("faults: %v", h.Faults)
	}
	return survived, err
}
