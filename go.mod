module netwatchd

go 1.26.0
