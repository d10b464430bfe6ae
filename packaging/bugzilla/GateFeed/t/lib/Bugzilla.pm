package Bugzilla;

# As much of Bugzilla as the extension meets, on SQLite. What it answers and the order in which it calls hooks are those of
# Bugzilla 5.2: a test compares them with what a real one answered.

use 5.14.0;
use strict;
use warnings;

use Bugzilla::DB;

our ($dbh, $extension, %params, $user, @custom_fields);

sub dbh                  { return $dbh }
sub params               { return \%params }
sub user                 { return $user }
sub login                { return $user || Bugzilla::Error::ThrowUserError('login_required') }
sub active_custom_fields { return map { bless {name => $_}, 'Bugzilla::Named' } @custom_fields }

# Begins with an empty database and the extension, installed as checksetup.pl does.
sub start {
  my ($class, $path) = @_;
  ($user, %params) = ();
  @custom_fields = qw(cf_status_beta cf_tracking_beta cf_crash_signature);
  $dbh = Bugzilla::DB->open($path // ':memory:');
  $dbh->do($_) foreach (
    'CREATE TABLE bugs (bug_id INTEGER PRIMARY KEY, bug_status TEXT, resolution TEXT, cf_status_beta TEXT, cf_tracking_beta TEXT)',
    'CREATE TABLE keyworddefs (id INTEGER PRIMARY KEY, name TEXT UNIQUE)',
    'CREATE TABLE keywords (bug_id INTEGER, keywordid INTEGER)',
    'CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT UNIQUE)',
    'CREATE TABLE bug_group_map (bug_id INTEGER, group_id INTEGER)',
    'CREATE TABLE attachments (attach_id INTEGER PRIMARY KEY, bug_id INTEGER, mimetype TEXT, ispatch INTEGER, isobsolete INTEGER)',
    'CREATE TABLE flags (id INTEGER PRIMARY KEY, attach_id INTEGER, name TEXT, status TEXT, setter TEXT)',
  );
  my %schema;
  Bugzilla::Hook::process('db_schema_abstract_schema', {schema => \%schema});
  foreach my $table (sort keys %schema) {
    my @fields = @{$schema{$table}->{FIELDS}};
    my @columns;
    while (my ($name, $field) = splice @fields, 0, 2) {
      push @columns, $name . ($field->{TYPE} =~ /^INT/ ? ' INTEGER' : ' TEXT') . ' NOT NULL'
        . ($field->{PRIMARYKEY} ? ' PRIMARY KEY' : '');
    }
    $dbh->do("CREATE TABLE IF NOT EXISTS $table (" . join(', ', @columns) . ')');
  }
  Bugzilla::Hook::process('install_update_db', {});
}

package Bugzilla::Named;
sub name { return $_[0]->{name} }

package Bugzilla::Keyword;
our @ISA = ('Bugzilla::Named');

package Bugzilla::Group;
our @ISA = ('Bugzilla::Named');

package Bugzilla::FlagType;
our @ISA = ('Bugzilla::Named');

package Bugzilla::User;
sub new { my ($class, %self) = @_; return bless {%self}, $class }
sub in_group { my ($self, $group) = @_; return scalar grep { $_ eq $group } @{$self->{groups}} }

package Bugzilla::Hook;
sub process {
  my ($name, $args) = @_;
  $Bugzilla::extension->$name($args) if $Bugzilla::extension->can($name);
}

package Bugzilla::Extension;
$INC{'Bugzilla/Extension.pm'} = __FILE__;

1;
