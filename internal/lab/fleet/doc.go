// Package fleet pushes from many hosts to real receivers, disconnects some, and checks what arrived.
package fleet
