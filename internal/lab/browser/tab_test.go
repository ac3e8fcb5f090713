package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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

// launch starts a browser, for all tests of a binary are one too many: it takes seconds.
func launch(t *testing.T) context.Context {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(parts.Program(t, "chromium", "chromium")),
		chromedp.NoSandbox, // Chromium has none for root, and already runs in its own namespaces
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Env("HOME="+t.TempDir()),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-pings", true),
		chromedp.Flag("hide-scrollbars", true),
	)...)
	t.Cleanup(stop)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatal(err)
	}
	return browser
}

// A tab is one page of a browser that remembers nothing of others. When the test ends, nothing may have been wrong
// with what it loaded: no word on the console, no violation of the content security policy, no request to anyone but
// the daemon.
type tab struct {
	t       *testing.T
	ctx     context.Context
	pardons []string // parts of complaints that are expected

	mu    sync.Mutex
	wrong []string
	asked []string // addresses
}

func open(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(b.complain)
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.colours("light")
	b.size(1280, 900)
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			b.wrong = append(b.wrong, fmt.Sprintf("console.%s: %s", e.Type, a.Value))
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, "uncaught: "+e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case *log.EventEntryAdded:
		b.wrong = append(b.wrong, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	}
}

// complaints are what was wrong so far.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.wrong)
	for _, a := range b.asked {
		if u, err := url.Parse(a); err != nil || u.Scheme+"://"+u.Host != stack.URL {
			all = append(all, "it asked someone else than the daemon: "+a)
		}
	}
	if len(b.asked) == 0 {
		all = append(all, "no request was seen at all")
	}
	return slices.DeleteFunc(all, func(complaint string) bool {
		return slices.ContainsFunc(b.pardons, func(part string) bool { return strings.Contains(complaint, part) })
	})
}

func (b *tab) complain() {
	for _, c := range b.complaints() {
		b.t.Error(c)
	}
}

// pardon expects a complaint.
func (b *tab) pardon(part string) { b.pardons = append(b.pardons, part) }

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
	v, err := evaluate[T](b, expression)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// evaluate fails if the page is left meanwhile.
func evaluate[T any](b *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return v, fmt.Errorf("%s: %w", expression, err)
	}
	return v, nil
}

// await waits until an expression is true on the page, or on the next if a link was just followed.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	err := parts.Eventually(patience, func() error {
		switch seen, err := evaluate[bool](b, expression); {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case !seen:
			return fmt.Errorf("%s: not seen: %s", what, expression)
		}
		return nil
	})
	if err != nil {
		b.t.Fatalf("%v\nthe page says:\n%s", err, value[string](b, "document.body.innerText"))
	}
}

// says waits until an element's text contains the words.
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

// axe checks accessibility.
func (b *tab) axe(what string) {
	b.t.Helper()
	script, err := os.ReadFile(filepath.Join(cache, "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		b.t.Skip("needs axe-core: make axe")
	}
	value[bool](b, string(script)+"; true")
	found := value[struct {
		Passes     int
		Violations []string
	}](b, `axe.run().then((r) => ({
		passes: r.passes.length,
		violations: r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.failureSummary + " " + n.html)),
	}))`)
	for _, v := range found.Violations {
		b.t.Errorf("%s: %s", what, v)
	}
	if found.Passes < 10 {
		b.t.Errorf("%s: only %d rules applied", what, found.Passes)
	}
}

// cache is the checkout's.
var cache = filepath.Join("..", "..", "..", ".cache")
