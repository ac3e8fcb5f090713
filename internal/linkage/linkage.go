// Package linkage reads from the file of a program which code looks names up for it.
package linkage

import (
	"errors"
	"io"
	"os/exec"
	"path/filepath"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/userfile"
)

// maxInterpreters is how many scripts may start each other: the kernel's own limit (exec_binprm in fs/exec.c).
const maxInterpreters = 5

// lineLimit is how much of a script's first line the kernel reads (BINPRM_BUF_SIZE).
const lineLimit = 256

// ResolverOf returns the resolver of a program, or of the interpreter of a script. Launcher is the file name of a
// script that only starts another program; empty: there is none. The error says in a few words why the file does not
// tell.
func ResolverOf(executable, launcher string) (clientrules.Resolver, error) {
	return resolverOf(executable, launcher, maxInterpreters)
}

func resolverOf(executable, launcher string, depth int) (clientrules.Resolver, error) {
	file, err := userfile.Open(executable)
	if other, ok := errors.AsType[*userfile.NotRegularError](err); ok {
		return 0, errors.New("it is " + userfile.Kind(other.Mode))
	} else if err != nil {
		return 0, errors.New("it cannot be opened")
	}
	defer file.Close()
	start := make([]byte, lineLimit)
	n, err := file.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, errors.New("it cannot be read")
	}
	interpreter := clientrules.Interpreter(string(start[:n]))
	target, err := filepath.EvalSymlinks(executable)
	switch {
	case interpreter == "":
		return clientrules.OfProgram(file)
	case launcher != "" && err == nil && filepath.Base(target) == launcher:
		return 0, errors.New("it only starts the native program, which was not found")
	case clientrules.IsShell(interpreter):
		return 0, errors.New("it is a shell script that starts another program")
	case depth == 0:
		return 0, errors.New("its interpreters start each other")
	}
	if interpreter, err = exec.LookPath(interpreter); err != nil {
		return 0, errors.New("its interpreter is not on the PATH")
	}
	return resolverOf(interpreter, launcher, depth-1)
}
