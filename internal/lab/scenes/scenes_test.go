package scenes

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

var (
	one    = flag.String("scene", "", "play this scene, and leave it open")
	table  = flag.Bool("table", false, "print the outcome of every scene")
	update = flag.Bool("update", false, "write docs/truth-table.md")
)

// worlds is how many scenes run in parallel. Most of a scene is waiting, but with more of them too many programs start
// at the same time for two cores that other tests use too.
const worlds = 3

func TestMain(m *testing.M) {
	flag.Set("test.parallel", fmt.Sprint(worlds))
	parts.Main(m, func(string) error { return nil })
}

// A pool lends worlds, and builds them on demand.
type pool struct {
	owner testing.TB
	free  chan *world.World
}

func newPool(t testing.TB) *pool {
	t.Helper()
	if required := *table || *one != "" || *soak > shortSoak; required {
		t.Cleanup(func() {
			if t.Skipped() {
				t.Fail() // the laboratory was requested: without it the run is not a success
			}
		})
	}
	parts.Need(t)
	p := &pool{t, make(chan *world.World, worlds)}
	for range worlds {
		p.free <- nil
	}
	return p
}

// A builder fails the test that borrows a world, but cleans up after the test that owns the pool.
type builder struct {
	testing.TB
	owner testing.TB
}

func (b builder) Cleanup(f func()) { b.owner.Cleanup(f) }

var built atomic.Int32

func (p *pool) borrow(t testing.TB) *world.World {
	t.Helper()
	w := <-p.free
	t.Cleanup(func() { p.free <- w })
	if w == nil {
		w = world.New(builder{t, p.owner}, fmt.Sprintf("world%d", built.Add(1)))
	}
	return w
}

func TestScenes(t *testing.T) {
	p := newPool(t)
	var mu sync.Mutex
	outcomes := make(map[string]Outcome)
	begun := time.Now()
	t.Run("scene", func(t *testing.T) {
		for i := range All {
			s := &All[i]
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				o := play(t, p.borrow(t), s)
				o.judge(t)
				o.holds(t)
				o.says(t)
				if *table {
					o.punctual(t)
				}
				mu.Lock()
				defer mu.Unlock()
				outcomes[s.Name] = o
			})
		}
	})
	if *table {
		print(outcomes)
		fmt.Printf("%d scenes in %v\n", len(outcomes), time.Since(begun).Round(time.Second))
	}
	if len(outcomes) == len(All) {
		truth(t, outcomes)
	}
}

func print(outcomes map[string]Outcome) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENE\tEXPECTED\tBY HAND\tDAEMON\tCLASS\tDELAY\tSINCE FAULT")
	for _, s := range All {
		if o, played := outcomes[s.Name]; played {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f s\t%.1f s\n", s.Name, s.Cause, o.ByHand.Cause, o.Daemon.Cause,
				o.Daemon.decisive(), o.Daemon.Delay, o.Waited.Seconds())
		}
	}
	w.Flush()
}

// truth compares docs/truth-table.md with the outcomes.
func truth(t *testing.T, outcomes map[string]Outcome) {
	t.Helper()
	var text bytes.Buffer
	text.WriteString("# Truth table\n\n" +
		"Every fault that the laboratory injects into a network of real servers (`make lab`), and the daemon's verdict. The\n" +
		"class is that of the decisive evidence. The delay is from the first failed attempt to the verdict. `netwatchd check`,\n" +
		"run by hand during the fault, reports the same, unless the last column says otherwise.\n")
	for _, part := range Parts {
		fmt.Fprintf(&text, "\n## %s\n\n| fault | verdict | shown by | delay | by hand |\n|---|---|---|---|---|\n", part.Title)
		for _, s := range part.Scenes {
			o := outcomes[s.Name]
			fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n",
				s.Name, code(append([]string{s.Cause}, s.Or...)...), code(s.Class), o.delay(), s.ByHand)
		}
	}
	path := filepath.Join("..", "..", "..", "docs", "truth-table.md")
	if *update {
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Error(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(string(have), text.String()); diff != "" {
		t.Errorf("docs/truth-table.md is out of date: run make lab LABFLAGS=-update (-file +outcome):\n%s", diff)
	}
}

func code(names ...string) string {
	names = append([]string(nil), names...)
	for i, name := range names {
		if name != "" {
			names[i] = "`" + name + "`"
		}
	}
	return strings.Join(names, " or ")
}

// TestOpen plays one scene and leaves it open, so that a person can look around.
func TestOpen(t *testing.T) {
	if *one == "" {
		t.Skip("not asked for: make lab SCENE=…")
	}
	for i := range All {
		if s := &All[i]; s.Name == *one {
			w := newPool(t).borrow(t)
			o := play(t, w, s)
			print(map[string]Outcome{s.Name: o})
			fmt.Printf("\n%s\n\n", o.ByHand.Title)
			fmt.Printf("on the host:         nsenter -t $(pgrep -fx '%s infinity') -n -m -p\n", w.Host.Name)
			fmt.Printf("beyond the gateway:  nsenter -t $(pgrep -fx '%s infinity') -n\n", w.Beyond.Name)
			n := w.Netwatchd()
			fmt.Printf("netwatchd there:     env %s %s/netwatchd %s --config.file=%s\n",
				strings.Join(n.Env, " "), parts.Dir(), strings.Join(s.ByHand.command(), " "), w.WriteConfig())
			if s.ByHand.Inside {
				fmt.Printf("in the sandbox:      %s COMMAND\n", strings.Join(w.Agent.Sandbox(), " "))
			}
			fmt.Print("\nPress Enter to end. ")
			bufio.NewReader(os.Stdin).ReadString('\n')
			io.WriteString(os.Stdout, "\n")
			return
		}
	}
	t.Fatalf("no scene is called %q", *one)
}
