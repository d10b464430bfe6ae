package Bugzilla::DB;

use 5.14.0;
use strict;
use warnings;

use DBI;
our @ISA = ('DBI');

sub open {
  my ($class, $path) = @_;
  my $self = DBI->connect("dbi:SQLite:dbname=$path", '', '', {RaiseError => 1, PrintError => 0, RootClass => 'Bugzilla::DB'});
  $self->do('PRAGMA busy_timeout = 20000');
  return $self;
}

package Bugzilla::DB::st;
our @ISA = ('DBI::st');

package Bugzilla::DB::db;
our @ISA = ('DBI::db');

sub sql_limit { my ($self, $limit) = @_; return "LIMIT $limit" }

# Transactions nest: the outermost one counts.
sub bz_start_transaction {
  my ($self) = @_;
  $self->do('BEGIN IMMEDIATE') unless $self->{private_depth}++;
}

sub bz_commit_transaction {
  my ($self) = @_;
  $self->do('COMMIT') unless --$self->{private_depth};
}

sub bz_rollback_transaction {
  my ($self) = @_;
  $self->do('ROLLBACK') if $self->{private_depth};
  $self->{private_depth} = 0;
}

1;
