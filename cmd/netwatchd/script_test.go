package main

import (
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// atOnce is how many tests run at the same time: most of them wait for a timeout or for a program.
const atOnce = 4

func TestMain(m *testing.M) {
	flag.Set("test.parallel", strconv.Itoa(atOnce))
	testscript.Main(m, map[string]func(){"netwatchd": main})
}

// The scripts show what a person sees in a terminal. In addition to the usual commands they have exits, refused,
// listen, file and empty.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "refused": refused, "listen": listen, "file": file, "empty": empty,
		},
	})
}

// exits runs a command and checks its exit code: exits 3 netwatchd check --nonsense.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d, want %s\n%s%s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// refused expects exit code 3 and a short error message for people, printed once.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: refused COMMAND ...")
	}
	exits(ts, false, append([]string{"3"}, args...))
	message := ts.ReadFile("stderr")
	if lines := strings.Count(message, "\n"); lines < 1 || lines > 3 || len(message) > 500 {
		ts.Fatalf("%d lines, %d bytes; want one to three lines:\n%s", lines, len(message), message)
	}
	for _, noise := range []string{
		"Usage:", "goroutine ", "panic", "strconv", "arg(s)", "shorthand", "missing unit", "dial tcp",
	} {
		if strings.Contains(message, noise) {
			ts.Fatalf("%q in a message for people:\n%s", noise, message)
		}
	}
	if ts.ReadFile("stdout") != "" {
		ts.Fatalf("an error must go to standard error only; stdout:\n%s", ts.ReadFile("stdout"))
	}
}

// listen occupies a port until the script ends and puts its address into $ADDRESS.
func listen(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv("ADDRESS", listener.Addr().String())
}

// file makes a file that no archive can hold: file NAME BYTES zeros|noise. Zeros take no disk space.
func file(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: file NAME BYTES zeros|noise")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	if args[2] == "zeros" {
		ts.Check(f.Truncate(size))
		return
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), size) // the same noise each time
	ts.Check(err)
}

// empty checks that there is nothing in a directory: empty DIR.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty DIR")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("%s is not empty: %v", args[0], entries)
	}
}
