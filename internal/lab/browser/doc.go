// Package browser tests the status page in a real browser, before a real daemon on a bent network.
package browser
