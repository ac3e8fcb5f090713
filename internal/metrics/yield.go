package metrics

import (
	"io"
	"runtime"
	"time"
)

// A turn is a scrape's time on the processor. On one processor the runtime would otherwise let it format for ten
// milliseconds at a time while attempts are due.
type turn struct{ began time.Time }

// turnLength leaves most of the 3 ms by which 99 of 100 starts may be late. With shorter turns a scrape of thousands of
// probes waits for the others a thousand times, and has no answer within Prometheus' ten seconds on a busy processor.
const turnLength = time.Millisecond

// yield lets the others run if the turn is over.
func (t *turn) yield() {
	if time.Since(t.began) >= turnLength {
		runtime.Gosched()
		t.began = time.Now()
	}
}

// yieldAt yields at each hundredth probe: asking for the time costs as much as formatting a line.
func (t *turn) yieldAt(probe int) {
	if probe%100 == 0 {
		t.yield()
	}
}

// A yieldingWriter yields before each write, which is a few kilobytes.
type yieldingWriter struct {
	io.Writer
	turn *turn
}

func (p yieldingWriter) Write(b []byte) (int, error) {
	p.turn.yield()
	return p.Writer.Write(b)
}
