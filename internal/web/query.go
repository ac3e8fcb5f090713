package web

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parameters are those a path knows, each with what reads its values.
type parameters map[string]func(values []string) error

// read reads them, or refuses the request and reports false.
func (p parameters) read(w http.ResponseWriter, r *http.Request) bool {
	err := p.parse(r)
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "bad_parameter", err.Error())
	}
	return err == nil
}

// parse knows no parameter but these: a misspelt filter would otherwise pass everything.
func (p parameters) parse(r *http.Request) error {
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("the query cannot be read: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		read := p[name]
		switch {
		case read == nil && len(p) == 0:
			return fmt.Errorf("unknown parameter %q: there are none here", name)
		case read == nil:
			return fmt.Errorf("unknown parameter %q: use %s", name, strings.Join(slices.Sorted(maps.Keys(p)), ", "))
		}
		if err := read(given[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// anyOf takes every value as it is.
func anyOf(into *[]string) func([]string) error {
	return func(values []string) error { *into = values; return nil }
}

// wordsOf reads each value as one of T's closed list.
func wordsOf[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](into *[]T) func([]string) error {
	return func(values []string) error {
		*into = make([]T, len(values))
		for i, text := range values {
			if err := P(&(*into)[i]).UnmarshalText([]byte(text)); err != nil {
				return err
			}
		}
		return nil
	}
}

// one reads a parameter that cannot mean more than one thing.
func one(read func(value string) error) func([]string) error {
	return func(values []string) error {
		if len(values) > 1 {
			return errors.New("it is given more than once: say which is meant")
		}
		return read(values[0])
	}
}

func numberFrom(low, high int, into *int) func([]string) error {
	return one(func(value string) (err error) { *into, err = number(value, low, high); return err })
}

func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", text, low, high)
	}
	return n, nil
}

func oneOf(into *string, words ...string) func([]string) error {
	return one(func(value string) error {
		if !slices.Contains(words, value) {
			return fmt.Errorf("%q is not one of %s", value, strings.Join(words, ", "))
		}
		*into = value
		return nil
	})
}

// A window is which of many are wanted.
type window struct{ limit, offset int }

// with adds the window's parameters to those of a list: so many are answered usually, and so many at most.
func (w *window) with(usual, most int, p parameters) parameters {
	w.limit = usual
	p["limit"] = numberFrom(1, most, &w.limit)
	p["offset"] = numberFrom(0, 1<<31-1, &w.offset)
	return p
}

// A list is how many things are answered: those of the window, how many match in all, and where the next are.
type list struct {
	Total int    `json:"total"`
	Next  string `json:"next,omitempty"` // to be read against the address that was asked; absent after the last
}

// listOf is the list of a window of which shown are answered.
func listOf(r *http.Request, w window, shown, total int) list {
	next := w.offset + shown
	if shown == 0 || next >= total {
		return list{Total: total}
	}
	q := r.URL.Query()
	q.Set("offset", strconv.Itoa(next))
	return list{total, r.URL.Path + "?" + q.Encode()}
}
