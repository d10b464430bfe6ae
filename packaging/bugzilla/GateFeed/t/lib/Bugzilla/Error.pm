package Bugzilla::Error;

use 5.14.0;
use strict;
use warnings;

use Exporter 'import';
our @EXPORT = qw(ThrowUserError ThrowCodeError);

# As in Bugzilla: an error undoes the transaction that is open.
sub ThrowUserError { return _throw('user', @_) }
sub ThrowCodeError { return _throw('code', @_) }

sub _throw {
  my ($kind, $name, $vars) = @_;
  Bugzilla->dbh->bz_rollback_transaction();
  die {kind => $kind, error => $name, %{$vars || {}}};
}

1;
