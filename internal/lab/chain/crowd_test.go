package chain

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/lab/parts"
)

var services = flag.Int("crowd", 0, "how many services fail in TestCrowd; it takes a hundred seconds")

// A crowd imitates the metrics of a netwatchd that watches many services, each of which is down for a while.
type crowd struct {
	down []struct{ from, to time.Time } // by service
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	now := time.Now()
	for i, d := range c.down {
		down := 0
		if now.After(d.from) && now.Before(d.to) {
			down = 1
		}
		for _, name := range []string{"verdict", "finding"} {
			fmt.Fprintf(&b, "netwatchd_%s{service=\"s%d\",cause=\"upstream\"} %d\n", name, i, down)
		}
		fmt.Fprintf(&b, "netwatchd_verdict{service=\"s%d\",cause=\"healthy\"} %d\n", i, 1-down)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	io.WriteString(w, b.String())
}

// Many services fail and recover at different times. Each is notified once. A pair of Alertmanagers alone does not
// guarantee this; the shipped waits do.
func TestCrowd(t *testing.T) {
	if *services == 0 {
		t.Skip("not asked for: make e2e-full") // TestChain has eight times fewer
	}
	// Half the time scale: the rules of a crowd take some tenths of a second, and the waits must be longer than that.
	scale := TimeScale(*scale) / 2
	const outage, apart = "4m", "2m"
	c := Start(t, release(t), scale, []string{"crowd"})
	var all crowd
	begin := time.Now().Add(c.Scale.shorten("1m"))
	for range *services {
		from := begin.Add(rand.N(scale.shorten(apart)))
		all.down = append(all.down, struct{ from, to time.Time }{from, from.Add(scale.shorten(outage) + rand.N(scale.shorten(apart)))})
	}
	listener, err := c.site.Listen("tcp", caseAddress(0))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: &all}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })

	want := map[string]int{firing: *services, resolved: *services}
	counts := func() map[string]int {
		got := make(map[string]int)
		for _, n := range c.Inbox.Of("crowd") {
			got[n.Status]++
		}
		return got
	}
	awaitErr := parts.Eventually(c.patience(), func() error {
		if got := counts(); !maps.Equal(want, got) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
	if awaitErr != nil {
		t.Error(awaitErr)
	}
	c.settle()
	if diff := cmp.Diff(want, counts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, fault := range c.Inbox.Faults() {
		t.Errorf("an unexpected message: %s", fault)
	}
}
