// Command session records a command in a terminal and writes what it printed as an SVG:
//
//	go run ./hack/session -o docs/screenshots/demo.svg bin/netwatchd demo --play
//
// Each part that begins with a line like "2  the service answers 503" is a scene; the scenes are shown in turn. A viewer
// without animations shows the first.
package main

import (
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"log"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/creack/pty"
)

// columns and rows of the terminal: what fits beside the text of a README.
const columns, rows = 92, 30

func main() {
	log.SetFlags(0)
	out := flag.String("o", "session.svg", "write the SVG to this `file`")
	flag.Parse()
	if flag.NArg() == 0 {
		log.Fatal("session: which command?")
	}
	text, err := record(flag.Args())
	if err != nil {
		log.Fatalf("session: %v", err)
	}
	scenes := split(text)
	if len(scenes) == 0 {
		log.Fatalf("session: the command printed no scene:\n%s", text)
	}
	if err := os.WriteFile(*out, []byte(render(strings.Join(flag.Args(), " "), scenes)), 0o644); err != nil {
		log.Fatalf("session: %v", err)
	}
}

// record returns what the command prints in a terminal.
func record(command []string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: columns})
	if err != nil {
		return "", err
	}
	defer terminal.Close()
	text, err := io.ReadAll(terminal)
	if err != nil && !errors.Is(err, syscall.EIO) { // the end of a terminal
		return "", err
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n"), cmd.Wait()
}

var heading = regexp.MustCompile(`^(\x1b\[[0-9;]*m)*\d  \S`)

// split returns the scenes, each as its lines without blank ones at the end.
func split(text string) (scenes [][]string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if heading.MatchString(line) {
			scenes = append(scenes, nil)
		}
		if n := len(scenes); n > 0 && !strings.HasPrefix(line, "Each verdict") {
			scenes[n-1] = append(scenes[n-1], line)
		}
	}
	for i, s := range scenes {
		for len(s) > 0 && strings.TrimSpace(s[len(s)-1]) == "" {
			s = s[:len(s)-1]
		}
		scenes[i] = s
	}
	return scenes
}

// Sizes in pixels, of a character of the monospaced fonts named below at 13 pixels.
const (
	charWidth, lineHeight = 7.83, 18
	margin, bar           = 16, 30
	eachSeconds           = 5 // enough to read a headline and find the failed row
)

// render draws the scenes on top of each other; all but one are transparent at any time.
func render(command string, scenes [][]string) string {
	lines := slices.MaxFunc(scenes, func(a, b []string) int { return len(a) - len(b) })
	width, height := 2*margin+int(math.Ceil(columns*charWidth)), bar+2*margin+(len(lines)+2)*lineHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" role="img" aria-label="%[3]s">
<style>
text { font: 13px ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d6dbe0; white-space: pre }
.b { font-weight: 700 } .f { fill: #8b949e } .r { fill: #ff938a } .g { fill: #62d394 } .y { fill: #efc150 }
.scene { opacity: 0; animation: show %[4]ds step-end infinite }
.scene:first-of-type { opacity: 1 }
@keyframes show { 0%% { opacity: 1 } %.2[5]f%% { opacity: 0 } 100%% { opacity: 0 } }
@media (prefers-reduced-motion: reduce) { .scene { animation: none } }
</style>
<rect width="%[1]d" height="%[2]d" rx="8" fill="#15181c"/>
<circle cx="18" cy="16" r="5" fill="#4a525b"/><circle cx="36" cy="16" r="5" fill="#4a525b"/><circle cx="54" cy="16" r="5" fill="#4a525b"/>
`, width, height, html.EscapeString("a terminal: "+command), eachSeconds*len(scenes), 100/float64(len(scenes)))
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" class=\"b\">$ %s</text>\n", margin, bar+margin, html.EscapeString(command))
	for n, scene := range scenes {
		fmt.Fprintf(&b, "<g class=\"scene\" style=\"animation-delay:%ds\">\n", n*eachSeconds)
		for i, line := range scene {
			if line != "" {
				fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\">%s</text>\n", margin, bar+margin+(i+2)*lineHeight, spans(line))
			}
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

var sequence = regexp.MustCompile(`\x1b\[([0-9;]*)[A-Za-z]`)

// classes are the colors of internal/screen.
var classes = map[string]string{"1": "b", "2": "f", "91": "r", "92": "g", "93": "y"}

// spans turns a line with colors into SVG.
func spans(line string) string {
	var b strings.Builder
	class := ""
	write := func(text string) {
		switch {
		case text == "":
		case class == "":
			b.WriteString(html.EscapeString(text))
		default:
			fmt.Fprintf(&b, `<tspan class="%s">%s</tspan>`, class, html.EscapeString(text))
		}
	}
	from := 0
	for _, at := range sequence.FindAllStringSubmatchIndex(line, -1) {
		write(line[from:at[0]])
		class = classes[line[at[2]:at[3]]]
		from = at[1]
	}
	write(line[from:])
	return b.String()
}
