package clientrules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Offsets and sizes of an ELF file's header, of a program header, and of a note (elf(5)), for 32 and 64 bits.
const (
	elfMagic   = "\x7fELF"
	typeInterp = 3
	typeNote   = 4
)

// Limits of what is read. The file is a user's, and its headers may lie: real programs have at most 15 program headers,
// interpreters of 50 characters and notes of 100 octets.
const (
	maxProgramHeaders = 512
	maxInterpreter    = 4096 // PATH_MAX
	maxNotes          = 64 << 10
)

// A layout is where the fields of an ELF file of 32 or 64 bits are.
type layout struct {
	header, phoff, phentsize, phnum int // of the file
	entry, offset, filesize         int // of a program header
}

var layouts = map[byte]layout{
	1: {header: 52, phoff: 28, phentsize: 42, phnum: 44, entry: 32, offset: 4, filesize: 16},
	2: {header: 64, phoff: 32, phentsize: 54, phnum: 56, entry: 56, offset: 8, filesize: 32},
}

// OfProgram returns the resolver of an ELF program: Go's if it was built by Go, else that of the C library, which the
// name of its interpreter tells. A program without an interpreter is linked statically: that is musl, because a static
// glibc cannot resolve names without its shared parts. The error says what the file is instead, and is not about any
// fault of the reader unless the reader has one.
func OfProgram(file io.ReaderAt) (Resolver, error) {
	segments, err := readSegments(file)
	if err != nil {
		return 0, err
	}
	interpreter := ""
	for _, s := range segments {
		switch {
		case s.kind == typeNote && s.hasGoNote(file):
			return Go, nil
		case s.kind == typeInterp:
			if interpreter, err = s.interpreter(file); err != nil {
				return 0, err
			}
		}
	}
	switch name := path.Base(interpreter); {
	case interpreter == "", strings.HasPrefix(name, "ld-musl-"):
		return Musl, nil
	case strings.HasPrefix(name, "ld-linux"), strings.HasPrefix(name, "ld64.so"), strings.HasPrefix(name, "ld.so"):
		return Glibc, nil
	}
	return 0, fmt.Errorf("its interpreter %.60q belongs to neither glibc nor musl", interpreter)
}

// A segment is a program header.
type segment struct {
	kind           uint32
	offset, length uint64
	order          binary.ByteOrder
}

var errNotELF = errors.New("it is not an ELF program")

func readSegments(file io.ReaderAt) ([]segment, error) {
	head := make([]byte, 64)
	n, err := file.ReadAt(head, 0)
	if head = head[:n]; !strings.HasPrefix(string(head), elfMagic) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, errNotELF
	}
	if len(head) < 16 || layouts[head[4]] == (layout{}) || len(head) < layouts[head[4]].header {
		return nil, errors.New("its ELF header is truncated or not valid")
	}
	l := layouts[head[4]]
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	start, size, count := l.word(head[l.phoff:], order), order.Uint16(head[l.phentsize:]), order.Uint16(head[l.phnum:])
	if int(size) < l.entry || count > maxProgramHeaders {
		return nil, fmt.Errorf("its ELF header is not valid: %d program headers of %d octets", count, size)
	}
	segments := make([]segment, count)
	for i := range segments {
		entry := make([]byte, l.entry)
		at := start + uint64(i)*uint64(size)
		if _, err := file.ReadAt(entry, int64(at)); err != nil || int64(at) < 0 {
			return nil, errors.New("its program headers lie outside the file: it is truncated")
		}
		segments[i] = segment{order.Uint32(entry), l.word(entry[l.offset:], order), l.word(entry[l.filesize:], order), order}
	}
	return segments, nil
}

func (l layout) word(b []byte, order binary.ByteOrder) uint64 {
	if l.header == 64 {
		return order.Uint64(b)
	}
	return uint64(order.Uint32(b))
}

// read returns the content of a segment of at most limit octets.
func (s segment) read(file io.ReaderAt, limit uint64) ([]byte, error) {
	if s.length > limit || int64(s.offset) < 0 {
		return nil, errors.New("its ELF header is not valid: a segment is too large")
	}
	content := make([]byte, s.length)
	if _, err := file.ReadAt(content, int64(s.offset)); err != nil {
		return nil, errors.New("a segment lies outside the file: it is truncated")
	}
	return content, nil
}

func (s segment) interpreter(file io.ReaderAt) (string, error) {
	content, err := s.read(file, maxInterpreter)
	name := string(bytes.TrimRight(content, "\x00"))
	if err == nil && (name == "" || strings.ContainsRune(name, 0)) {
		err = errors.New("its ELF header is not valid: the interpreter has no name")
	}
	return name, err
}

// hasGoNote reports whether the segment has the note with which Go's linker marks a program (cmd/link,
// .note.go.buildid: name "Go", type 4).
func (s segment) hasGoNote(file io.ReaderAt) bool {
	notes, err := s.read(file, maxNotes)
	if err != nil {
		return false
	}
	for len(notes) >= 12 {
		name, description, kind := s.order.Uint32(notes), s.order.Uint32(notes[4:]), s.order.Uint32(notes[8:])
		notes = notes[12:]
		if kind == 4 && name == 4 && strings.HasPrefix(string(notes), "Go\x00\x00") {
			return true
		}
		next := (uint64(name)+3)&^3 + (uint64(description)+3)&^3
		if next > uint64(len(notes)) {
			return false
		}
		notes = notes[next:]
	}
	return false
}

// Interpreter returns the program that a script names in its first line, with its first argument if that is the
// program that env(1) runs: "node" for "#!/usr/bin/env -S node --x". It returns "" if text is not the start of a script.
func Interpreter(text string) string {
	line, isScript := strings.CutPrefix(text, "#!")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if !isScript || len(words) == 0 {
		return ""
	}
	if path.Base(words[0]) != "env" {
		return words[0]
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return word
		}
	}
	return ""
}

// IsShell reports whether a program of that name is a shell. A shell script starts other programs, and they look names
// up.
func IsShell(program string) bool {
	switch path.Base(program) {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "busybox":
		return true
	}
	return false
}
