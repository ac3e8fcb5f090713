// Package blackbox tests netwatchd from outside: the real binary, on the network of package stack.
package blackbox
