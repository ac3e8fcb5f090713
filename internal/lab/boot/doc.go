// Package boot tests the units and the packages where they are used: under systemd as the first process of a small
// Debian, in a container of systemd-nspawn on the stack's network.
package boot
