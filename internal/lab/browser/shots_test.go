package browser

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"netwatchd/internal/lab/stack"
)

var shots = flag.String("screenshots", "", "the directory that TestScreenshots writes its pictures to")

// shotMost bounds a picture: they are in the repository, and anew with each change of the page.
const shotMost = 200 << 10

// TestScreenshots takes the pictures of the documentation.
func TestScreenshots(t *testing.T) {
	if *shots == "" {
		return
	}
	s := stack.Start(t)
	config := watched(t, s)
	remember(t, filepath.Join(s.Dir, "storage"))
	d := s.Daemon("--config.file=" + config)
	d.AwaitReady()
	b := open(t)

	b.goTo("/")
	b.says("h1", "as configured")
	b.shoot("healthy", 1280, 900)

	b.colours("dark")
	b.shoot("dark", 1280, 900)
	b.goTo("/services/codex?range=7d")
	b.shoot("week", 1280, 900)
	b.colours("light")

	b.goTo("/incidents")
	b.shoot("incidents", 1280, 900)

	b.goTo("/")
	s.CloseService()
	b.says("#verdict .whose", "upstream")
	b.shoot("outage", 1280, 900)
	b.size(390, 844)
	b.shoot("phone", 390, 844)
	b.goTo(value[string](b, `document.querySelector(".since a").getAttribute("href")`))
	b.shoot("incident", 1280, 1000)
}

// shoot writes a picture of the window at that size, at twice the resolution for a phone's.
func (b *tab) shoot(name string, width, height int64) {
	b.t.Helper()
	b.size(width, height)
	b.await("the charts to follow", `[...document.querySelectorAll(".plot canvas")].every((c) => Math.abs(c.clientWidth + c.parentElement.parentElement.offsetLeft) > 0)`)
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(picture) > shotMost {
		b.t.Errorf("%s has %d bytes, want at most %d", name, len(picture), shotMost)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
	full, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if os.Getenv("FULL") != "" {
		os.WriteFile(filepath.Join(*shots, name+"-full.png"), full, 0o644)
	}
}

var _ = fmt.Sprint
