package browser

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
)

var shots = flag.String("screenshots", "", "the directory that TestScreenshots writes its pictures to")

// shotMost bounds the size of a picture: they are committed again with each change of the page.
const shotMost = 200 << 10

// TestScreenshots takes the pictures of the documentation, with the sandbox of a real codex.
func TestScreenshots(t *testing.T) {
	if *shots == "" {
		t.Skip("not asked for: make screenshots")
	}
	agent := signedIn(t)
	h := build(t, agent.wanting("closed"))
	b := open(t, h.browser)

	b.goTo("/")
	// So that it looks like a page that was just opened.
	err := parts.Eventually(2*time.Minute, func() error {
		if since := value[string](b, `document.querySelector(".since").innerText`); !strings.Contains(since, "(1 min") {
			return errors.New(since)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.goTo("/")
	b.shoot("healthy", 1280, 900)

	b.colours("dark")
	b.goTo("/services/codex?range=7d#past")
	b.shoot("history", 1280, 900)
	b.colours("light")

	b.goTo("/")
	h.Config(agent.wanting("open"))
	h.daemon.Signal(syscall.SIGHUP)
	b.says("#verdict .whose", "sandbox")
	b.says(".since", "(1")
	b.shoot("sandbox", 1280, 900)
	h.Config(agent.wanting("closed"))
	h.daemon.Signal(syscall.SIGHUP)
	b.says("#verdict .whose", "healthy")

	h.CloseService()
	b.says("#verdict .whose", "upstream")
	b.says(".since", "(1")
	b.shoot("outage", 1280, 900)
	b.size(390, 844)
	b.goTo("/")
	b.shoot("phone", 390, 844)
	b.goTo(value[string](b, `document.querySelector(".since a").getAttribute("href")`))
	b.shoot("incident", 1280, 1000)
}

// An agent is a codex with a user signed in to a mock service.
type agent struct {
	codex, home string
	service     *responses.Server
}

func signedIn(t *testing.T) *agent {
	t.Helper()
	home, err := os.MkdirTemp("/var/tmp", "netwatchd-shots-") // under $TMPDIR codex makes no sandbox
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	a := &agent{codex: parts.Codex(t, "0.169.0"), home: home, service: responses.Start()}
	t.Cleanup(a.service.Close)
	if err := responses.SignIn(home); err != nil {
		t.Fatal(err)
	}
	return a
}

// wanting is the configuration of someone who has all of the ladder watched, and wants the sandbox so.
func (a *agent) wanting(sandbox string) string {
	return fmt.Sprintf(`      - {name: stream, kind: stream, target: "wss://chatgpt.com/backend-api/codex/responses", hold: 6s, interval: 20s, tls: {ca_file: ca.pem}}
      - {name: exec, kind: exec, preset: codex, interval: 40s, timeout: 30s, codex: {path: %q, home: %q, base_url: %q}}
    ask_status_page: false
    sandbox: {want: %s, interval: 10s, timeout: 5s}`, a.codex, a.home, a.service.BaseURL(), sandbox)
}

// shoot writes a picture of the window at that size.
func (b *tab) shoot(name string, width, height int64) {
	b.t.Helper()
	b.size(width, height)
	b.await("the charts to follow", `[...document.querySelectorAll(".plot")].every((p) => p.querySelector("canvas").clientWidth === p.clientWidth)`)
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
}
