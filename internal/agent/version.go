package agent

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is the version of an agent. The zero value means unknown.
type Version struct {
	Major, Minor, Patch int
	Pre                 string // of a pre-release: "alpha.3"
}

func (v Version) String() string {
	text := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		text += "-" + v.Pre
	}
	return text
}

// Compare orders versions as semver.org does: a pre-release is below its release.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch),
		comparePre(v.Pre, w.Pre))
}

func comparePre(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(b2i(a == ""), b2i(b == ""))
	}
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		m, errA := strconv.Atoi(as[i])
		n, errB := strconv.Atoi(bs[i])
		order := cmp.Compare(as[i], bs[i])
		if errA == nil || errB == nil { // a number is below a word
			order = cmp.Or(cmp.Compare(b2i(errA != nil), b2i(errB != nil)), cmp.Compare(m, n))
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(as), len(bs))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

var versionPattern = regexp.MustCompile(`(?:^|[^0-9.])(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?`)

// FindVersion returns the first version in text.
func FindVersion(text string) (v Version, ok bool) {
	m := versionPattern.FindStringSubmatch(text)
	if m == nil {
		return v, false
	}
	for i, n := range []*int{&v.Major, &v.Minor, &v.Patch} {
		*n, _ = strconv.Atoi(m[i+1])
	}
	v.Pre = m[4]
	return v, true
}
