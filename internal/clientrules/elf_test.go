package clientrules_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/clientrules"
)

// program returns a small ELF program of 64 bits, with that interpreter if it is not empty.
func program(interpreter string) []byte {
	head := make([]byte, 64+56)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint64(head[32:], 64)
	binary.LittleEndian.PutUint16(head[54:], 56)
	binary.LittleEndian.PutUint16(head[56:], 1)
	entry := head[64:]
	binary.LittleEndian.PutUint32(entry, 1) // PT_LOAD
	if interpreter != "" {
		binary.LittleEndian.PutUint32(entry, 3) // PT_INTERP
		binary.LittleEndian.PutUint64(entry[8:], uint64(len(head)))
		binary.LittleEndian.PutUint64(entry[32:], uint64(len(interpreter)+1))
	}
	return append(head, interpreter+"\x00"...)
}

func changed(b []byte, at int, octets ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], octets)
	return b
}

func TestOfProgram(t *testing.T) {
	const glibc, musl = "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"
	for _, test := range []struct {
		name string
		file []byte
		want string // the resolver, or part of the error
	}{
		{"glibc", program(glibc), "glibc"},
		{"glibc of Nix", program("/nix/store/x-glibc-2.40/lib/ld-linux-aarch64.so.1"), "glibc"},
		{"glibc of POWER", program("/lib64/ld64.so.2"), "glibc"},
		{"musl", program(musl), "musl"},
		{"static", program(""), "musl"},
		{"Android", program("/system/bin/linker64"), "belongs to neither glibc nor musl"},
		{"empty", nil, "not an ELF program"},
		{"text", []byte("hello, world"), "not an ELF program"},
		{"the magic alone", []byte("\x7fELF"), "truncated or not valid"},
		{"half a header", program(glibc)[:40], "truncated or not valid"},
		{"no program headers", program(glibc)[:64], "outside the file"},
		{"half an interpreter", program(glibc)[:130], "outside the file"},
		{"class 7", changed(program(glibc), 4, 7), "truncated or not valid"},
		{"big-endian lies", changed(program(glibc), 5, 2), "outside the file"},
		{"65,535 headers", changed(program(glibc), 56, 0xff, 0xff), "65535 program headers"},
		{"headers of no size", changed(program(glibc), 54, 0, 0), "of 0 octets"},
		{"headers before the file", changed(program(glibc), 32, 0, 0, 0, 0, 0, 0, 0, 0xff), "outside the file"},
		{"an interpreter of an exabyte", changed(program(glibc), 64+32, 0, 0, 0, 0, 0, 0, 0, 0x10), "too large"},
		{"an interpreter far away", changed(program(glibc), 64+8, 0, 0, 0, 0, 0, 0, 0, 0x10), "outside the file"},
		{"an interpreter without a name", program("\x00"), "no name"},
	} {
		r, err := clientrules.OfProgram(bytes.NewReader(test.file))
		got := r.String()
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestOfRealPrograms reads programs of this machine.
func TestOfRealPrograms(t *testing.T) {
	tests := map[string]clientrules.Resolver{os.Args[0]: clientrules.Go}
	if sh, err := exec.LookPath("sh"); err == nil {
		if _, err := os.Stat("/lib64/ld-linux-x86-64.so.2"); err == nil {
			tests[sh] = clientrules.Glibc
		}
	}
	found, _ := filepath.Glob("../../.cache/codex/*/node_modules/@openai/codex-linux-*/vendor/*/*/codex")
	for _, path := range found {
		tests[path] = clientrules.Musl
	}
	for path, want := range tests {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := clientrules.OfProgram(file); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", path, got, err, want)
		}
		file.Close()
	}
}

func FuzzOfProgram(f *testing.F) {
	f.Add(program("/lib64/ld-linux-x86-64.so.2"))
	f.Add(program(""))
	f.Add(changed(program("x"), 4, 1))
	f.Add(append(changed(program(""), 64, 4), "\x04\x00\x00\x00\xff\xff\xff\xff\x04\x00\x00\x00Go\x00\x00"...))
	f.Fuzz(func(_ *testing.T, file []byte) { clientrules.OfProgram(bytes.NewReader(file)) })
}

func TestInterpreter(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/sh\nexec x": "/bin/sh", "#! /usr/bin/python3 -u\n": "/usr/bin/python3", "#!/usr/bin/env node\n": "node",
		"#!/usr/bin/env -S A=1 node --x\n": "node", "#!/usr/bin/env": "", "#!\n": "", "": "", "/bin/sh": "",
	} {
		if got := clientrules.Interpreter(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if !clientrules.IsShell("/usr/bin/dash") || clientrules.IsShell("/usr/bin/node") {
		t.Error("IsShell")
	}
}

func TestDecides(t *testing.T) {
	right, empty := clientrules.Answer{Answered: true, Addresses: 1}, clientrules.Answer{Answered: true}
	missing, gone := clientrules.Answer{}, clientrules.Answer{Answered: true, RCode: 3}
	for _, test := range []struct {
		a, aaaa             clientrules.Answer
		byMusl, byGlibc     int
		withMusl, withGlibc bool
	}{
		{right, empty, 0, 0, true, true},
		{empty, right, 1, 1, true, true},
		{right, missing, 1, 0, false, true},
		{right, gone, 1, 0, false, true},
		{missing, right, 0, 1, false, true},
		{empty, empty, 0, 0, false, false},
		{empty, missing, 1, 1, false, false},
		{missing, missing, 0, 0, false, false},
	} {
		answers := [2]clientrules.Answer{test.a, test.aaaa}
		if i, found := clientrules.Musl.Decides(answers); i != test.byMusl || found != test.withMusl {
			t.Errorf("musl, %v: got %d, %v", answers, i, found)
		}
		if i, found := clientrules.Glibc.Decides(answers); i != test.byGlibc || found != test.withGlibc {
			t.Errorf("glibc, %v: got %d, %v", answers, i, found)
		}
	}
}
