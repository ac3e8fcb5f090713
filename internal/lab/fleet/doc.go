// Package fleet has many hosts push to real receivers, loses some of them, and asks the receivers what arrived.
package fleet
