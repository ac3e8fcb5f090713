// Package webtoken keeps the bearer token (RFC 6750) that a request needs which changes something, if it comes from
// another host and the web configuration requires no authentication.
package webtoken

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"

	"netwatchd/internal/userfile"
)

// Name is the name of the file in the directory of the store.
const Name = "web.token"

// sizeLimit is more than any token has, in bytes.
const sizeLimit = 4 << 10

// valid is the syntax of a token (b64token in RFC 6750, 2.1). With fewer than 16 characters it could be guessed.
var valid = regexp.MustCompile(`^[A-Za-z0-9._~+/-]{16,}=*$`)

// Read returns the token in a file. Its errors name the file and say what to do.
func Read(file string) (string, error) {
	text, err := userfile.ReadUpTo(file, sizeLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s does not exist: restart netwatchd", file)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("%s cannot be read: run this as the daemon's user or as root", file)
	case err != nil:
		return "", fmt.Errorf("%s: %w", file, err)
	}
	token := strings.TrimSpace(string(text))
	if !valid.MatchString(token) {
		return "", fmt.Errorf("%s does not contain a token: write one line of at least 16 letters and digits", file)
	}
	return token, nil
}

// Make ensures that file holds a token that nobody else knows, and makes its directory. It keeps a token that only this
// user can read, so that scripts survive a restart, and replaces any other.
func Make(file string) error {
	if isPrivate(file) {
		if _, err := Read(file); err == nil {
			return nil
		}
	}
	return userfile.Replace(file, []byte(rand.Text()+"\n"))
}

// isPrivate reports whether a file is this user's and no other user can read it. One that another user planted, or a
// link to it, has a token that they know.
func isPrivate(file string) bool {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// Check compares the header Authorization of a request with the token in file. It reads the file on each call, so that
// a token can be replaced without a restart. The error says what the client should send.
func Check(file, header string) error {
	want, err := Read(file)
	if err != nil {
		return fmt.Errorf("the daemon has no token to compare with: %w", err)
	}
	scheme, got, _ := strings.Cut(header, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return fmt.Errorf("send the token in %s on the daemon's host as Authorization: Bearer TOKEN", file)
	case subtle.ConstantTimeCompare([]byte(strings.TrimSpace(got)), []byte(want)) != 1:
		return fmt.Errorf("the token is not the one in %s on the daemon's host", file)
	}
	return nil
}
