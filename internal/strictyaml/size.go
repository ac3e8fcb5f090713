package strictyaml

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

var sizeShape = regexp.MustCompile(`^([0-9]+)([KMG]iB)$`)

var sizeUnits = []string{"KiB", "MiB", "GiB"}

func parseSize(s string) (int64, error) {
	m := sizeShape.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%s is not a size: write a whole number with KiB, MiB or GiB, like 64MiB", Quote(s))
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return 0, errors.New("is too large: write a size, like 64MiB")
	}
	return n << (10 * (slices.Index(sizeUnits, m[2]) + 1)), nil
}

// FormatSize returns a number of bytes as a configuration file writes it.
func FormatSize(n int64) string {
	i := 0
	for n >>= 10; n%1024 == 0 && i+1 < len(sizeUnits); i++ {
		n >>= 10
	}
	return strconv.FormatInt(n, 10) + sizeUnits[i]
}
