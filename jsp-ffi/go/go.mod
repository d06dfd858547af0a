module github.com/jetstreamproto/jetstreamproto/jsp-ffi/go

go 1.21
