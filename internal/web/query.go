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

// parameters are the parameters of a path, each with the function that reads its values.
type parameters map[string]func(values []string) error

// read reads them. On an error it writes the response and returns false.
func (p parameters) read(w http.ResponseWriter, r *http.Request) bool {
	err := p.parse(r)
	if err != nil {
		writeError(w, r, http.StatusBadRequest, "bad_parameter", err.Error())
	}
	return err == nil
}

// parse rejects unknown parameters: a misspelt filter would otherwise match everything.
func (p parameters) parse(r *http.Request) error {
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("malformed query: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		read := p[name]
		switch {
		case read == nil && len(p) == 0:
			return fmt.Errorf("unknown parameter %q: this path takes none", name)
		case read == nil:
			return fmt.Errorf("unknown parameter %q: use %s", name, strings.Join(slices.Sorted(maps.Keys(p)), ", "))
		}
		if err := read(given[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// anyOf takes every value unchanged.
func anyOf(into *[]string) func([]string) error {
	return func(values []string) error { *into = values; return nil }
}

// wordsOf reads each value as one of the names of T.
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

// one reads a parameter that may be given once.
func one(read func(value string) error) func([]string) error {
	return func(values []string) error {
		if len(values) > 1 {
			return errors.New("given more than once")
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

// A window is one page of a list.
type window struct{ limit, offset int }

// with adds the parameters limit and offset.
func (w *window) with(usual, most int, p parameters) parameters {
	w.limit = usual
	p["limit"] = numberFrom(1, most, &w.limit)
	p["offset"] = numberFrom(0, 1<<31-1, &w.offset)
	return p
}

// A list is the common part of every list in a response.
type list struct {
	Total int    `json:"total"`
	Next  string `json:"next,omitempty"` // relative to the request URL; absent on the last page
}

// listOf is the list for a window of which shown entries are in the response.
func listOf(r *http.Request, w window, shown, total int) list {
	next := w.offset + shown
	if shown == 0 || next >= total {
		return list{Total: total}
	}
	q := r.URL.Query()
	q.Set("offset", strconv.Itoa(next))
	return list{total, r.URL.Path + "?" + q.Encode()}
}
