// Package demo tests `netwatchd demo` on a host whose only link leads nowhere: what is sent there is counted.
package demo
