// Package chain tests the way from a fault to whoever must know of it: netwatchd in the laboratory, Prometheus, a pair of
// Alertmanagers, a receiver. The programs are real, and so are rules and routes: those of deploy, hurried.
package chain
