package deploy

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// checkLinks follows the relative links of all Markdown pages below root, to files and to headings.
func checkLinks(t *testing.T, root string) {
	t.Helper()
	followed := 0
	err := filepath.WalkDir(root, func(page string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(page) != ".md" {
			return err
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, link := range relativeLinks(string(text)) {
			followed++
			if err := follow(page, link); err != nil {
				name, _ := filepath.Rel(root, page)
				t.Errorf("%s links to %s: %v", name, link, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if followed < 150 { // there were 287 in November 2026
		t.Errorf("only %d relative links in %s: the pages were not found", followed, root)
	}
}

var (
	codeBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code      = regexp.MustCompile("`[^`\n]*`")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)
	absolute  = regexp.MustCompile(`^[a-z]+:`)
)

func relativeLinks(text string) (all []string) {
	for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), ""), -1) {
		if to := m[1] + m[2]; !absolute.MatchString(to) {
			all = append(all, to)
		}
	}
	return all
}

// follow returns an error if the file or the heading that a link of page leads to does not exist.
func follow(page, to string) error {
	name, anchor, _ := strings.Cut(to, "#")
	target := page
	if name != "" {
		target = filepath.Join(filepath.Dir(page), name)
	}
	if _, err := os.Stat(target); err != nil || anchor == "" {
		return err
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if !anchors(string(text))[anchor] {
		return fmt.Errorf("no heading #%s", anchor)
	}
	return nil
}

var (
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	named   = regexp.MustCompile(`(?:id|name)="([^"]+)"`)
	target  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors returns the fragments of a page's headings, as GitHub makes them: lower case, spaces become hyphens, other
// punctuation is dropped.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, target.ReplaceAllString(m[1], "$1"))
		all[slug] = true
	}
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		all[m[1]] = true
	}
	return all
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	text := "# The `a_b` [page](x.md), twice\n```sh\n# no heading\n```\n[here](#the-a_b-page-twice) `[no](link)`\n"
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for to, works := range map[string]bool{
		"page.md": true, "#the-a_b-page-twice": true, "page.md#the-a_b-page-twice": true,
		"x.md": false, "#no-heading": false, "page.md#nothing": false,
	} {
		if err := follow(page, to); (err == nil) != works {
			t.Errorf("%s: got %v, want it to work: %v", to, err, works)
		}
	}
	if got := strings.Join(relativeLinks(text), " "); got != "x.md #the-a_b-page-twice" {
		t.Errorf("got links %q", got)
	}
}
