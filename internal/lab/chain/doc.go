// Package chain tests everything from a fault to the notification: netwatchd in the laboratory, Prometheus, a pair of
// Alertmanagers, a receiver. The programs are real. Rules and routes are those of deploy, with all times scaled down.
package chain
