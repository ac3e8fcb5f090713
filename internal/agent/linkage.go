package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/userfile"
)

// ClientAt returns how the agent's executable, as Find returns it, reaches its service, and why: one line for people.
// Its resolver is read from the file. If the file does not tell, it is that of the released program.
func (a *Agent) ClientAt(executable string, v Version) (clientrules.Client, string) {
	client := a.Client(v)
	r, err := a.resolverOf(executable, maxInterpreters)
	if err != nil {
		return client, fmt.Sprintf("names are looked up with %v, as the released %s does: %s does not tell, %v",
			client.Resolver, a.Name, executable, err)
	}
	client.Resolver = r
	return client, fmt.Sprintf("names are looked up with %v, because of how %s is linked", r, executable)
}

// maxInterpreters is how many scripts may start each other: the kernel's own limit (exec_binprm in fs/exec.c).
const maxInterpreters = 5

// lineLimit is how much of a script's first line the kernel reads (BINPRM_BUF_SIZE).
const lineLimit = 256

// resolverOf reads the resolver of a program, or of the interpreter of a script.
func (a *Agent) resolverOf(executable string, depth int) (clientrules.Resolver, error) {
	// A named pipe must not block.
	file, err := os.OpenFile(executable, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, errors.New("it cannot be opened")
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, errors.New("it cannot be read")
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is " + userfile.Kind(info.Mode()))
	}
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
	case a.Launcher != "" && err == nil && filepath.Base(target) == a.Launcher:
		return 0, errors.New("it only starts the native program, which was not found")
	case clientrules.IsShell(interpreter):
		return 0, errors.New("it is a shell script that starts another program")
	case depth == 0:
		return 0, errors.New("its interpreters start each other")
	}
	if interpreter, err = exec.LookPath(interpreter); err != nil {
		return 0, errors.New("its interpreter is not on the PATH")
	}
	return a.resolverOf(interpreter, depth-1)
}
