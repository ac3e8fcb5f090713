// Package browser tests the status page in a real browser, with a real daemon on a network with faults.
package browser
