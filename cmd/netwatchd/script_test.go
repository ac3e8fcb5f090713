package main

import (
	"errors"
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

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"netwatchd": main})
}

// The scripts say what a person at a terminal sees. Beside the usual commands they have exits, refused, listen and file.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "refused": refused, "listen": listen, "file": file,
		},
	})
}

// exits runs a command and wants an exit code: exits 3 netwatchd check --nonsense.
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

// refused wants what is wrong with the input said once, briefly and to people, and exit code 3.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: refused COMMAND ...")
	}
	exits(ts, false, append([]string{"3"}, args...))
	said := ts.ReadFile("stderr")
	if lines := strings.Count(said, "\n"); lines < 1 || lines > 3 || len(said) > 500 {
		ts.Fatalf("%d lines, %d bytes; want a line or two:\n%s", lines, len(said), said)
	}
	for _, noise := range []string{"Usage:", "goroutine ", "panic"} {
		if strings.Contains(said, noise) {
			ts.Fatalf("%q in a message to people:\n%s", noise, said)
		}
	}
	if ts.ReadFile("stdout") != "" {
		ts.Fatalf("a refusal belongs on standard error alone; stdout:\n%s", ts.ReadFile("stdout"))
	}
}

// listen takes a port until the script ends and puts its address into $ADDRESS.
func listen(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv("ADDRESS", listener.Addr().String())
}

// file makes a file that no archive can hold: file NAME BYTES zeros|noise. Zeros take no room on the disk.
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
