package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// closed is the configuration of a sandbox that is closed, as it should be.
func closed(t *testing.T) string {
	return fmt.Sprintf("    sandbox: {command: [%s, --dev-bind, /, /, --unshare-net, --], want: closed, interval: 10s, timeout: 5s}",
		parts.Program(t, "bwrap", "bubblewrap"))
}

// A house is a daemon with history on a network for fault injection, and a browser.
type house struct {
	*stack.Stack
	config  string
	daemon  *stack.Daemon
	browser context.Context
}

func build(t *testing.T, sandbox string) *house {
	t.Helper()
	h := &house{Stack: stack.Start(t), browser: launch(t)}
	h.config = "--config.file=" + h.Config(sandbox)
	remember(t, filepath.Join(h.Dir, "storage"))
	h.start()
	return h
}

func (h *house) start() {
	h.daemon = h.Daemon(h.config)
	h.daemon.AwaitReady()
}

// outage makes the service fail until the test ends, and waits until the page shows it.
func (h *house) outage(b *tab) {
	b.t.Helper()
	h.ServiceAnswers(503)
	b.t.Cleanup(func() { h.ServiceAnswers(405, "Allow: POST") })
	b.goTo("/")
	b.says("#verdict .whose", "upstream")
}

// TestPage has many tests of one daemon. Each starts from a healthy state.
func TestPage(t *testing.T) {
	h := build(t, closed(t))
	for _, test := range []struct {
		name string
		do   func(*testing.T, *house, *tab)
	}{
		{"load", load},
		{"gaps are gaps", gapsAreGaps},
		{"keyboard", keyboard},
		{"without script", withoutScript},
		{"the watch is awake", theWatchIsAwake},
		{"an incident", anIncident},
		{"colours", colours},
		{"phone", phone},
		{"a hostile server", hostileServer},
		{"live", live},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := open(t, h.browser)
			b.goTo("/")
			b.says("#verdict .whose", "healthy")
			test.do(t, h, b)
		})
	}
}

func load(t *testing.T, h *house, b *tab) {
	b.says("h1", "Reachable")
	b.says(".aside", "The sandbox has no network, as configured.")
	b.says(".do", "Nothing is broken")
	b.says("#ladder", "405, as expected")
	b.says("#incidents", "DNS does not work on this host")
	b.says("#link", "live")
	if n := value[int](b, `document.querySelectorAll(".plot canvas").length`); n != 4 {
		t.Errorf("%d charts, want dns and head, on the host and in the sandbox", n)
	}
	b.says("article[data-probe=head][data-vantage=sandbox] .sum", "closed")
	b.says("#legend", "sandbox closed")
	b.axe("while all is well")
	for _, span := range []string{"day", "week", "90 days"} {
		b.do(chromedp.Click(fmt.Sprintf(`//nav[@class="ranges"]/a[text()=%q]`, span)))
		b.await("the last "+span, fmt.Sprintf(`document.querySelector(".ranges [aria-current]")?.innerText === %q && !!document.querySelector(".plot canvas")`, span))
		b.says("#legend", "host suspended")
		b.says("article.track .sum", "median")
	}
}

// Where the host slept there is no line: neither drawn through, nor along the ground.
func gapsAreGaps(t *testing.T, h *house, b *tab) {
	b.goTo("/services/codex?range=1d")
	// How many pixels of the line's colour there are in each column of the chart, where the host slept and where it did
	// not.
	const columns = `(async () => {
		const box = document.querySelector('article[data-probe=head][data-vantage=host] .plot'), canvas = box.querySelector("canvas");
		const chart = await (await fetch("/api/v1/history?service=codex&probe=head&vantage=host&range=1d")).json();
		const slept = chart.series[0].gaps.filter((g) => g.why === "suspended");
		const over = box.querySelector(".u-over"), copy = new OffscreenCanvas(canvas.width, canvas.height), ctx = copy.getContext("2d", { willReadFrequently: true });
		ctx.drawImage(canvas, 0, 0);
		const from = Date.parse(chart.from), to = Date.parse(chart.to), scale = over.clientWidth / (to - from);
		const count = (begin, end) => {
			const x = over.offsetLeft + (Date.parse(begin) - from) * scale, width = (Date.parse(end) - Date.parse(begin)) * scale;
			const { data } = ctx.getImageData((x + 3) * devicePixelRatio, 0, (width - 6) * devicePixelRatio, over.clientHeight);
			let blue = 0;
			for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && data[i + 2] - data[i] > 80) blue++;
			return blue;
		};
		return [slept.length, count(slept[0].from, slept[0].to), count(chart.from, slept[0].from) + count(slept.at(-1).to, chart.to)];
	})()`
	got := value[[]int](b, columns)
	if got[0] == 0 || got[1] != 0 || got[2] < 100 {
		t.Errorf("slept %d times, %d pixels of the line while it did, %d otherwise", got[0], got[1], got[2])
	}
}

// The page updates without a reload, announces changes, and shows when it is disconnected.
func live(t *testing.T, h *house, b *tab) {
	b.says("#link", "live")
	value[bool](b, "window.same = true")
	well := value[string](b, `document.getElementById("icon").href`)

	h.StopDNS()
	b.says("#verdict .whose", "resolver")
	b.says("h1", "resolve")
	b.says("#said", "resolver")
	b.says("#incidents .open", "resolver")
	b.await("what shows it is open", `document.getElementById("shows").open`)
	if title := value[string](b, "document.title"); title != "codex: resolver – netwatchd" {
		t.Errorf("title %q", title)
	}
	if icon := value[string](b, `document.getElementById("icon").href`); icon == well {
		t.Error("the icon is that of health")
	}
	b.axe("with a fault")
	h.StartDNS()
	b.says("#verdict .whose", "healthy")

	b.pardon("net::ERR_")
	h.daemon.Kill()
	b.says("#link", "connection lost")
	b.says("#link", "as of ")
	b.says("#verdict .whose", "healthy") // as it was
	h.start()
	b.says("#link", "live")
	if !value[bool](b, "window.same === true") {
		t.Error("the page was loaded anew")
	}
}

// From the verdict to the record, and home with it.
func anIncident(t *testing.T, h *house, b *tab) {
	h.outage(b)
	b.do(chromedp.Click(`//a[text()="full report"]`))
	b.says("main", "healthy → upstream")
	b.says("main", "503")
	b.axe("the record of an incident")

	dir := t.TempDir()
	_, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID})
	if err != nil {
		t.Fatal(err)
	}
	id := filepath.Base(value[string](b, "location.pathname"))
	for button, test := range map[string]struct {
		file string
		is   func([]byte) bool
	}{
		"Markdown": {"netwatchd-" + id + ".md", func(text []byte) bool { return strings.HasPrefix(string(text), "# Incident `"+id) }},
		"JSON":     {"netwatchd-" + id + ".json", json.Valid},
	} {
		b.do(chromedp.Click(fmt.Sprintf(`//a[text()=%q]`, button)))
		err := parts.Eventually(patience, func() error {
			text, err := os.ReadFile(filepath.Join(dir, test.file))
			if err == nil && !test.is(text) {
				err = fmt.Errorf("%s: %.200s", test.file, text)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}

	h.ServiceAnswers(405, "Allow: POST")
	b.says("#record", "upstream → healthy") // by itself
	b.goTo("/incidents")
	b.axe("the list of incidents")
	b.do(chromedp.Click(`//a[contains(.,"Traffic is intercepted")]`))
	b.says("blockquote", "Hotel Wi-Fi.")
}

// Both colours can be had: the system's, and the other.
func colours(t *testing.T, h *house, b *tab) {
	background := func() string { return value[string](b, "getComputedStyle(document.body).backgroundColor") }
	b.goTo("/")
	light := background()
	b.do(chromedp.Click("#theme"))
	dark := background()
	if dark == light {
		t.Fatal("the button changes nothing")
	}
	b.goTo("/")
	if background() != dark {
		t.Error("the choice is forgotten")
	}
	b.axe("dark")
	h.outage(b)
	b.axe("dark, with a fault")
	b.do(chromedp.Click("#theme"))
	b.colours("dark")
	if background() != dark {
		t.Error("the system's colours do not count without a choice")
	}
}

// On a phone nothing is clipped or needs sideways scrolling.
func phone(t *testing.T, h *house, b *tab) {
	b.size(390, 844)
	h.outage(b)
	record := value[string](b, `document.querySelector(".since a").getAttribute("href")`)
	for _, path := range []string{"/", "/services/codex?range=90d", "/incidents", record, "/services/absent"} {
		if path == "/services/absent" {
			b.pardon("404")
		}
		b.goTo(path)
		if wide := value[int](b, "document.documentElement.scrollWidth"); wide > 390 {
			t.Errorf("%s is %d pixels wide", path, wide)
		}
		const tooSmall = `[...document.querySelectorAll("header a, header button, .ranges a, .button")].filter((e) => e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)`
		if small := value[[]string](b, tooSmall); len(small) > 0 {
			t.Errorf("%s: too small for a finger (WCAG 2.5.8): %v", path, small)
		}
		b.axe(path)
	}
}

// Whoever has no mouse gets everywhere, sees where they are, and is not moved about by what is live.
func keyboard(t *testing.T, h *house, b *tab) {
	press := func(key string) { b.t.Helper(); b.do(chromedp.KeyEvent(key)) }
	focused := func() string {
		return value[string](b, `(document.activeElement.innerText || document.activeElement.id || "").trim()`)
	}
	press(kb.Tab)
	if got := focused(); got != "Skip to the verdict" {
		t.Errorf("the first stop is %q, want the way past the navigation", got)
	}
	var stops []string
	for range 40 {
		press(kb.Tab)
		at := focused()
		if at == "" || strings.HasPrefix(at, "Skip to the verdict") {
			break
		}
		if !value[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("it cannot be seen that the focus is on %q", at)
		}
		stops = append(stops, at)
	}
	for _, want := range []string{"Now", "Incidents", "theme", "Evidence", "hour", "90 days", "Was: DNS does not work on this host", "metrics"} {
		if !strings.Contains("\n"+strings.Join(stops, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("%q cannot be reached; stops: %q", want, stops)
		}
	}
	b.do(chromedp.Focus("#shows summary"))
	press(kb.Enter)
	b.await("it to open", `document.getElementById("shows").open`)
	value[bool](b, `window.before = document.querySelector("#shows summary"), true`)
	b.await("the page to follow", `document.querySelector("#shows summary") !== window.before || false`)
	b.await("it to stay open, and the focus", `document.getElementById("shows").open && document.activeElement.matches("#shows summary")`)
	b.do(chromedp.Focus("#incidents a"))
	press(kb.Enter)
	b.says("main", "Timeline")
}

// Without script there is all that matters.
func withoutScript(t *testing.T, h *house, b *tab) {
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(stack.URL + "/"))
	page, err := chromedp.Run(b.ctx, chromedp.Text("body"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"as configured", "Nothing is broken", "405, as expected", "DNS does not work on this host", "dns", "The charts need JavaScript"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
	b.do(chromedp.Click("#incidents a"))
	if page, err = chromedp.Run(b.ctx, chromedp.Text("main")); err != nil || !strings.Contains(page, "Timeline") {
		t.Errorf("%v:\n%s", err, page)
	}
}

// Text from a server stays text.
func hostileServer(t *testing.T, h *house, b *tab) {
	t.Cleanup(func() { h.ServiceAnswers(405, "Allow: POST") })
	h.ServiceAnswers(405, `Allow: <script>window.owned=1</script><img src=x onerror=window.owned=1>`)
	b.says("#verdict .whose", "unexpected answer")
	b.says("#shows", "<script>window.owned=1</script>")
	b.do(chromedp.Click(`//a[text()="full report"]`))
	b.says("main", "<script>window.owned=1</script>")
	if value[bool](b, "window.owned !== undefined") {
		t.Error("it was executed")
	}
}

// The checks themselves work: without this the tests above could pass for nothing.
func theWatchIsAwake(t *testing.T, h *house, b *tab) {
	value[bool](b, `(() => {
		const script = document.createElement("script");
		script.textContent = "window.owned = 1";
		document.body.append(script);
		new Image().src = "http://203.0.113.10/pixel";
		console.error("oops");
		return true;
	})()`)
	for _, want := range []string{"script-src", "img-src", "console.error: \"oops\"", "it asked someone else than the daemon: http://203.0.113.10/pixel"} {
		err := parts.Eventually(patience, func() error {
			if !strings.Contains(strings.Join(b.complaints(), "\n"), want) {
				return fmt.Errorf("%s: not noticed, only %q", want, b.complaints())
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if value[bool](b, "window.owned !== undefined") {
		t.Error("the policy let an inline script run")
	}
	b.pardon("") // everything
}
