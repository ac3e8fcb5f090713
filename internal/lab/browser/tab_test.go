package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

func TestMain(m *testing.M) { stack.Main(m) }

// patience is how long anything may take while other tests keep the machine busy.
const patience = 30 * time.Second

// A tab is a browser with one page. When the test ends, nothing may have been wrong with what it loaded: no error or
// warning on the console, no violation of the content security policy, no request to anyone but the daemon.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	wrong   []string
	asked   []string // addresses
	pardons []string // parts of complaints that are expected
}

// open starts a browser.
func open(t *testing.T) *tab {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(parts.Program(t, "chromium", "chromium")),
		chromedp.NoSandbox, // it refuses one to root, and is in namespaces of its own already
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Env("HOME="+t.TempDir()),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-pings", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.WindowSize(1280, 900),
	)...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(b.complain)
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.colours("light")
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeDebug {
			b.wrong = append(b.wrong, fmt.Sprintf("the console was used: %s %v", e.Type, e.Args))
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, "uncaught: "+e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case *log.EventEntryAdded:
		b.wrong = append(b.wrong, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	}
}

func (b *tab) complain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		if !containsAny(w, b.pardons) {
			b.t.Error(w)
		}
	}
	if len(b.asked) == 0 {
		b.t.Error("no request was seen at all")
	}
	for _, a := range b.asked {
		if u, err := url.Parse(a); err != nil || u.Scheme != "blob" && u.Scheme+"://"+u.Host != stack.URL {
			b.t.Errorf("it asked for %s, of someone else than the daemon", a)
		}
	}
	if b.t.Failed() {
		b.t.Logf("the browser asked for\n%s", strings.Join(b.asked, "\n"))
	}
}

func containsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// pardon expects a complaint.
func (b *tab) pardon(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pardons = append(b.pardons, part)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// goTo loads a path of the daemon, and waits for its charts if it has any.
func (b *tab) goTo(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(stack.URL + path))
	b.await("the charts", `!document.querySelector("article.track") || !!document.querySelector(".plot canvas")`)
}

// value is what an expression is on the page.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true on the page.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	err := parts.Eventually(patience, func() error {
		if value[bool](b, expression) {
			return nil
		}
		return fmt.Errorf("%s: not seen: %s", what, expression)
	})
	if err != nil {
		b.t.Fatalf("%v\nthe page says:\n%s", err, value[string](b, "document.body.innerText"))
	}
}

// says waits until an element's text has the words.
func (b *tab) says(selector, words string) {
	b.t.Helper()
	b.await(selector+" to say "+words, fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "").includes(%q)`, selector, words))
}

// colours sets what the system prefers.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	if err != nil {
		b.t.Fatal(err)
	}
}

// size sets the size of the window.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}

// axe looks for what shuts people out.
func (b *tab) axe(what string) {
	b.t.Helper()
	script, err := os.ReadFile(filepath.Join(cache, "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		b.t.Skip("needs axe-core: make axe")
	}
	value[bool](b, string(script)+"; true")
	for _, v := range value[[]string](b, `axe.run().then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.failureSummary + " " + n.html)))`) {
		b.t.Errorf("%s: %s", what, v)
	}
	if n := value[int](b, `axe.run().then((r) => r.passes.length)`); n < 10 {
		b.t.Errorf("%s: only %d rules applied", what, n)
	}
}

// cache is the checkout's.
var cache = filepath.Join("..", "..", "..", ".cache")
