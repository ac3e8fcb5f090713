package httpprobe

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// atOnce is how many tests run at the same time, each in its own process: they mostly wait for a timeout.
const atOnce = 8

func TestMain(m *testing.M) {
	flag.Set("test.parallel", fmt.Sprint(atOnce))
	os.Exit(m.Run())
}
